// `--check`: what every store lets the service do, said by the real program.
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import type { StoreDefinition } from '../../src/store/definition.ts'
import { checkStores } from '../../src/process/check.ts'
import { serverSettings } from '../support/servers.ts'
import { configFor } from '../support/service.ts'
import { endAll, launch, temporaryFolder } from './launch.ts'

const work = temporaryFolder()
afterEach(endAll)
afterAll(() => work.remove())

let folders = 0
function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = join(work.path, `folder-${++folders}`)
  mkdirSync(path)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

interface Checked {
  readonly code: number | null
  /** Cells of the table by connection. */
  readonly rows: ReadonlyMap<string, readonly string[]>
  readonly stdout: string
  readonly stderr: string
}

async function check(
  options: Partial<Parameters<typeof launch>[0]> & { outputs?: object } = {},
): Promise<Checked> {
  const { outputs, ...rest } = options
  const cwd = rest.cwd ?? folder()
  if (outputs !== undefined) writeFileSync(join(cwd, 'config.yaml'), stringify({ persistence: { outputs } }))
  const argv = [...(outputs === undefined ? [] : ['--config', 'config.yaml']), '--check']
  const service = launch({ cwd, argv, ...rest })
  const { code } = await service.ended
  const [head = '', ...lines] = service.stdout().split('\n\n')[0]!.split('\n')
  if (service.stdout() !== '')
    expect(head.split(/ {2,}/)).toEqual(['CONNECTION', 'KIND', 'PLACE', 'LIST', 'READ', 'WRITE', 'DELIVER'])
  const rows = new Map(lines.map(line => line.split(/ {2,}/)).map(([name, ...cells]) => [name!, cells]))
  return { code, rows, stdout: service.stdout(), stderr: service.stderr() }
}

const OK = expect.stringMatching(/^ok \d+ ms$/) as string
const FAILED = expect.stringMatching(/^failed \d+ ms$/) as string

describe('a check', () => {
  it('ends with 0 when a volume can be listed, read and written, and leaves it as it was', async () => {
    const path = folder({ 'a.txt': 'content' })
    const { code, rows, stderr } = await check({ env: { OUTPUTS_PATH: path } })
    expect([...rows]).toEqual([['outputs', ['local', path, OK, OK, OK, '-']]])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(readdirSync(path)).toEqual(['a.txt'])
  })

  it('does not make the default folder, and says who does', async () => {
    const cwd = folder()
    const { code, rows, stdout } = await check({ cwd })
    expect(rows.get('outputs')).toEqual(['local', join(cwd, 'outputs'), 'skipped', 'skipped', 'skipped', '-'])
    expect(stdout).toContain('outputs: list, read, write skipped: the folder is made at the first start')
    expect(code).toBe(0)
    expect(existsSync(join(cwd, 'outputs'))).toBe(false)
  })

  it('ends with 1 when one of several stores cannot be reached, and tells no more than where it is', async () => {
    const path = folder({ 'a.txt': 'content' })
    const cwd = folder()
    mkdirSync(join(cwd, 'secrets', 'lake'), { recursive: true })
    const keys = { aws_access_key_id: 'OURKEY', aws_secret_access_key: 'OURSECRET' }
    writeFileSync(
      join(cwd, 'secrets', 'lake', 'keys'),
      JSON.stringify({ ...keys, endpoint_url: `http://127.0.0.1:${await closedPort()}` }),
    )
    const { code, rows, stdout, stderr } = await check({
      cwd,
      env: { SECRETS_PATH: 'secrets' },
      outputs: {
        data: { mountPath: path, existingClaim: 'data', readOnly: true },
        lake: { store: 's3', bucket: 's3://lake/outputs', secret: 'lake', secretKey: 'keys' },
      },
    })
    expect(rows.get('data')).toEqual(['local', path, OK, OK, 'skipped', '-'])
    expect(rows.get('lake')).toEqual(['s3', 'lake/outputs', FAILED, 'skipped', FAILED, '-'])
    expect(stdout).toMatch(/^data: write skipped: .*read-only/m)
    expect(stdout).toMatch(
      /^lake: list, write failed \(unreachable, ECONNREFUSED\): The outputs store 'lake' cannot be reached/m,
    )
    expect(code).toBe(1)
    expect(stdout + stderr).not.toMatch(/OURKEY|OURSECRET|127\.0\.0\.1/)
  })

  it('tries the store of logs too, and changes nothing in it', async () => {
    const [outputs, logs] = [folder({ 'a.txt': 'content' }), folder({ b: 'a log' })]
    const env = (path: string) => ({
      OUTPUTS_PATH: outputs,
      POLYAXON_PERSISTENCE_LOGS: JSON.stringify({ mountPath: path }),
    })
    const { code, rows } = await check({ env: env(logs) })
    expect([...rows]).toEqual([
      ['outputs', ['local', outputs, OK, OK, OK, '-']],
      ['persistence.logs', ['local', logs, OK, OK, 'skipped', '-']],
    ])
    expect(code).toBe(0)
    const away = await check({ env: env('/not/there') })
    expect(away.rows.get('persistence.logs')).toContainEqual(FAILED)
    expect(away.code).toBe(1)
  })

  it('ends with 78 for the faults that a start would end with', async () => {
    const { code, stdout, stderr } = await check({ outputs: { data: { mountPath: 'relative' } } })
    expect([code, stdout]).toEqual([78, ''])
    expect(stderr).toContain('persistence.outputs.data')
  })

  it('prints the warnings of the settings', async () => {
    const path = folder()
    const { code, stderr } = await check({
      outputs: {
        data: { mountPath: path, existingClaim: 'data' },
        lake: { store: 's3', bucket: 's3://lake', region: 'eu-west-1', verify: false },
      },
      env: {
        AWS_ACCESS_KEY_ID: 'k',
        AWS_SECRET_ACCESS_KEY: 's',
        AWS_ENDPOINT_URL: `http://127.0.0.1:${await closedPort()}`,
      },
    })
    expect(stderr).toMatch(/^Warning: persistence\.outputs\.lake\.verify .*certificates .* are not verified/m)
    expect(code).toBe(1)
  })

  it('lets no name of a file drive the terminal, or add a line to the report', async () => {
    const path = folder({ 'red\x1b[31m\x9b\u202e.txt\nlake: list failed': 'x' })
    const { code, stdout } = await check({ env: { OUTPUTS_PATH: path } })
    expect(code).toBe(0)
    expect(stdout).toContain("'red\\u{1b}[31m\\u{9b}\\u{202e}.txt\\u{a}lake: list failed'")
    expect(stdout).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u)
    expect(stdout.trimEnd().split('\n')).toHaveLength(4)
  })

  it('gives up on a store that never answers, and says so', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    await new Promise(resolve => silent.once('listening', resolve))
    const lake: StoreDefinition = {
      kind: 's3',
      name: 'lake',
      bucket: 'lake',
      prefix: '',
      readOnly: false,
      delivery: 'proxy',
      endpoint: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
      region: 'us-east-1',
      secret: {
        label: 'the environment',
        values: { AWS_ACCESS_KEY_ID: 'k', AWS_SECRET_ACCESS_KEY: 's' },
        files: [],
      },
      maxConnections: 4,
      signedUrlSeconds: 300,
      requesterPays: false,
    }
    let report = ''
    const startedAt = performance.now()
    const worked = await checkStores(configFor('', { connections: [lake] }), text => (report += text), 500)
    silent.close()
    expect(worked).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(5000)
    expect(report).toContain(
      "lake: list failed (timeout): The outputs store 'lake' did not answer within 0.5 s.",
    )
  })

  const minio = serverSettings('minio')
  it.skipIf(minio === undefined)(
    'lists, reads and writes a bucket, and has a file of it delivered as configured (needs TEST_MINIO)',
    async () => {
      const { endpoint, region, access_key, secret_key } = minio as Record<string, string>
      const client = new S3Client({
        endpoint: endpoint!,
        region: region!,
        forcePathStyle: true,
        credentials: { accessKeyId: access_key!, secretAccessKey: secret_key! },
      })
      const Bucket = `check-${randomUUID()}`
      await client.send(new CreateBucketCommand({ Bucket }))
      try {
        const secrets = folder()
        mkdirSync(join(secrets, 'lake'))
        const keys = {
          aws_access_key_id: access_key,
          aws_secret_access_key: secret_key,
          endpoint_url: endpoint,
        }
        writeFileSync(join(secrets, 'lake', 'keys'), JSON.stringify({ ...keys, region }))
        const lake = (bucket: string, more = {}) => ({
          store: 's3',
          bucket,
          secret: 'lake',
          secretKey: 'keys',
          ...more,
        })
        const { code, rows, stdout } = await check({
          env: { SECRETS_PATH: secrets },
          outputs: { lake: lake(`s3://${Bucket}/a/b`), gone: lake(`s3://${Bucket}-gone`) },
        })
        expect(rows.get('lake')).toEqual(['s3', `${Bucket}/a/b`, OK, 'skipped', OK, '-'])
        expect(rows.get('gone')).toEqual(['s3', `${Bucket}-gone`, FAILED, 'skipped', FAILED, '-'])
        expect(stdout).toMatch(/^gone: list, write failed \(missing, NoSuchBucket\): /m)
        expect(code).toBe(1)
        expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0)
        await client.send(new PutObjectCommand({ Bucket, Key: 'a b/ü', Body: 'content' }))
        const publicEndpoint = `http://127.0.0.1:${await closedPort()}`
        const delivering = await check({
          env: { SECRETS_PATH: secrets },
          outputs: {
            lake: lake(`s3://${Bucket}`, { delivery: 'redirect' }),
            shut: lake(`s3://${Bucket}`, { delivery: 'redirect', publicEndpoint }),
          },
        })
        expect(delivering.rows.get('lake')).toEqual(['s3', Bucket, OK, OK, OK, OK])
        expect(delivering.rows.get('shut')).toEqual(['s3', Bucket, OK, OK, OK, FAILED])
        expect(delivering.stdout).toMatch(
          /^shut: deliver failed \(unreachable, ECONNREFUSED\): Clients cannot fetch files/m,
        )
        expect(delivering.stdout).not.toContain('127.0.0.1')
        expect(delivering.code).toBe(1)
        await client.send(new DeleteObjectCommand({ Bucket, Key: 'a b/ü' }))
      } finally {
        await client.send(new DeleteBucketCommand({ Bucket }))
        client.destroy()
      }
    },
  )
})

/** A port where nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
