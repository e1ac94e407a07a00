// The lanes of an object store: copies by command lines, and the servers of a bucket.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClientPool } from '../../bench/client/pool.ts'
import type { CommandLine } from '../../bench/client/command.ts'
import { RUN, makeData, writeReadyFile } from '../../bench/data.ts'
import type { Data } from '../../bench/data.ts'
import { fillBucket, storeServer } from '../../bench/store/bucket.ts'
import type { Bucket } from '../../bench/store/bucket.ts'
import { serviceOnBucket, storeItself } from '../../bench/store/servers.ts'
import type { Tool } from '../../bench/store/tools.ts'
import { launch } from '../../bench/variants.ts'
import type { RunningVariant } from '../../bench/variants.ts'
import { storeFile, storeFiles, storeFolder, storeRanges } from '../../bench/workloads/store.ts'
import { WrongBytes } from '../../bench/workloads/workload.ts'

const noPython =
  process.env['REQUIRE_TOOLS'] !== '1' && spawnSync('python3', ['--version']).error !== undefined
const server = storeServer()

const folder = mkdtempSync(join(tmpdir(), 'outputs-bench-test-'))
const root = join(folder, 'outputs')
const scratch = join(folder, 'scratch')
const clients = new ClientPool(2)
let data: Data
let readyFile: string

beforeAll(() => {
  mkdirSync(scratch)
  readyFile = writeReadyFile(root)
  data = makeData(root, {
    bigBytes: 4,
    objectBytes: 2 ** 20,
    smallFiles: 5,
    manyFiles: 20,
    checkpointBytes: 10,
    modelBytes: 10,
  })
})

afterAll(() => {
  clients[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

const setting = () => ({ data, clients, scratch, loadMs: 50, signal: new AbortController().signal })

/** A tool that copies out of the folder; `spoil` is a shell script that runs where it has copied to, or in front of what it prints. */
function copier(spoil = ''): Tool {
  const line = (script: string): CommandLine => ({
    program: 'sh',
    args: ['-ec', script],
    env: process.env,
  })
  return {
    name: 'copier',
    printName: 'print',
    copyName: 'copy',
    print: key => line(`cat '${join(root, key)}' | { ${spoil} cat; }`),
    copyObject: (key, to) => line(`cp '${join(root, key)}' '${to}'; cd '${to}'; ${spoil}`),
    copyPrefix: (prefix, to) => line(`cp -r '${join(root, prefix)}.' '${to}'; cd '${to}'; ${spoil}`),
  }
}

const tables = [storeFile, storeFolder].flatMap(workload =>
  workload
    .lanes({ servers: [], tools: [copier()] })
    .map((lane, index) => [workload.name, lane.name, workload, index] as const),
)

describe.skipIf(noPython)('a command line in a table (needs python3)', () => {
  it.each(tables)('is measured in %s when it is honest: %s', async (_workload, _lane, workload, index) => {
    const lane = workload.lanes({ servers: [], tools: [copier()] })[index]!
    const transfer = await (await lane.verify(setting())).measure()
    expect(transfer.bytes).toBe(workload === storeFile ? data.object.size : data.many.size)
    expect(transfer.seconds).toBeGreaterThan(0)
    expect(transfer.usage!.peakRssBytes).toBeGreaterThan(0)
  })

  const CHEATS = {
    print: ['head -c 1 >/dev/null;', 'printf x; head -c 1 >/dev/null;'],
    copy: [
      'rm "$(find . -type f | tail -n 1)";',
      'truncate -s -1 "$(find . -type f | tail -n 1)"',
      'printf xxxxxxxx | dd conv=notrunc status=none of="$(find . -type f | tail -n 1)"',
      'touch more',
    ],
  }
  const cheats = tables.flatMap(([name, laneName, workload, index]) =>
    CHEATS[laneName as keyof typeof CHEATS].map(cheat => [name, laneName, cheat, workload, index] as const),
  )

  it.each(cheats)(
    'is refused in %s when it does more or less than %s: %s',
    async (_name, _lane, cheat, workload, index) => {
      const lane = workload.lanes({ servers: [], tools: [copier(cheat)] })[index]!
      await expect(lane.verify(setting())).rejects.toThrow(WrongBytes)
    },
  )

  it.each(tables)(
    'stops %s when it does less once it is measured: %s',
    async (_name, laneName, workload, index) => {
      const flag = join(scratch, 'cheat')
      const tool = copier(`if [ -e '${flag}' ]; then ${CHEATS[laneName as keyof typeof CHEATS][0]!} fi;`)
      const lane = workload.lanes({ servers: [], tools: [tool] })[index]!
      const verified = await lane.verify(setting())
      writeFileSync(flag, '')
      await expect(verified.measure()).rejects.toThrow(WrongBytes)
      rmSync(flag)
    },
  )
})

describe.skipIf(noPython || server === undefined)('a bucket (needs python3 and TEST_MINIO)', () => {
  const anonymously = (bucket: Bucket, key: string) =>
    fetch(`${bucket.server.endpoint}/${bucket.name}/${RUN}/${key}`)
  const keys = () =>
    [readyFile, data.object.path, ...data.many.files.map(({ path }) => path)].map(path => `${RUN}/${path}`)

  it('has the data for everybody to read while it is needed, and is gone afterwards', async () => {
    const { endpoint, region, accessKey: accessKeyId, secretKey: secretAccessKey } = server!
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    })
    const bucket = await fillBucket(server!, root, keys(), setting().signal)
    const answer = await anonymously(bucket, readyFile)
    expect([answer.status, await answer.text()]).toEqual([200, 'ready\n'])
    await bucket[Symbol.asyncDispose]()
    await expect(client.send(new HeadBucketCommand({ Bucket: bucket.name }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    })
  })

  it('is measured through the service and by itself', { timeout: 120_000 }, async () => {
    await using bucket = await fillBucket(server!, root, keys(), setting().signal)
    const options = { root, scratch: join(folder, 'service'), service: 'src/main.ts' }
    await using service: RunningVariant = await launch(serviceOnBucket(bucket), options, readyFile)
    const servers = [service, storeItself(bucket)]
    const measured: string[] = []
    for (const workload of [storeFile, storeFolder, storeFiles, storeRanges]) {
      for (const lane of workload.lanes({ servers, tools: [] })) {
        const transfer = await (await lane.verify(setting())).measure()
        expect(transfer.bytes, lane.name).toBeGreaterThan(0)
        measured.push(`${workload.name}: ${lane.name}`)
      }
    }
    expect(measured).toEqual([
      'store-file: polyaxon-outputs on S3',
      'store-file: MinIO itself',
      'store-folder: polyaxon-outputs on S3, tar',
      'store-folder: polyaxon-outputs on S3, zip',
      'store-files: polyaxon-outputs on S3',
      'store-files: MinIO itself',
      'store-ranges: polyaxon-outputs on S3',
      'store-ranges: MinIO itself',
    ])
  })
})
