// tus-js-client against the service: uploads that are cut, resumed at another process, and those that are refused.
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { DetailedError, Upload, type UploadOptions } from 'tus-js-client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { OutputsFolder } from '../faults/outputs-folder.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import { MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'

const RUN = 'ann/mnist/experiments/1'
const OWN = '.polyaxon-outputs-uploads'

const folder = new OutputsFolder()
const closing: { close(): Promise<void> }[] = []
let services: ServiceProcess[]

beforeAll(async () => {
  services = await Promise.all([startProcess(folder.root), startProcess(folder.root)])
})
afterEach(async () => {
  await Promise.all(closing.splice(0).map(each => each.close()))
})
afterAll(async () => {
  await Promise.all(services.map(service => service.destroy()))
  folder.remove()
})

type Content = Buffer | Readable

interface Uploaded {
  /** What the client asked, as `PATCH 204`; 0 for what was not answered. */
  readonly exchanges: readonly string[]
}

/** An upload by the client, which resolves when it says that it is done. */
function upload(
  endpoint: string,
  content: Content,
  metadata: Record<string, string>,
  options: UploadOptions = {},
): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const exchanges: string[] = []
    new Upload(content, {
      endpoint,
      metadata,
      retryDelays: Array.from({ length: 50 }, () => 10),
      onAfterResponse: (request, response) => {
        exchanges.push(`${request.getMethod()} ${response.getStatus()}`)
      },
      onSuccess: () => resolve({ exchanges }),
      onError: reject,
      ...options,
    }).start()
  })
}

const endpointOf = ({ url }: { url: string }): string => `${url}/uploads`
const contentOf = (path: string): Buffer => readFileSync(folder.at(path))
const leftovers = (): string[] =>
  readdirSync(folder.root, { recursive: true, encoding: 'utf8' }).filter(path =>
    /\.polyaxon-outputs-write-|\/bytes\//.test(path),
  )

async function cutting(nextCut: () => number | undefined): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.before(services, nextCut)
  closing.push(proxy)
  return proxy
}

/** A process for one test. */
async function another(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startProcess(folder.root, { env })
  closing.push({ close: () => service.destroy() })
  return service
}

/** An upload of which 4 MiB have come, and nothing more comes. */
async function stalled(
  service: ServiceProcess,
  content: Buffer,
  name: string,
): Promise<Upload & { url: string }> {
  let connections = 0
  const proxy = await CuttingProxy.before(
    [service],
    () => (++connections === 1 ? 4 * MiB : undefined),
    'stall',
  )
  closing.push(proxy)
  const begun = new Upload(content, {
    endpoint: endpointOf(proxy),
    metadata: { path: `${RUN}/${name}` },
    retryDelays: [],
    onError: () => undefined,
  })
  begun.start()
  await until(() => proxy.cuts === 1)
  // What has come through is on its way.
  await sleep(200)
  return begun as Upload & { url: string }
}

describe('tus-js-client', () => {
  it('uploads a file, with its first bytes along, in chunks, or from a stream of unknown length', async () => {
    const content = randomBytes(3 * MiB + 17)
    for (const [name, source, options] of [
      ['plain', content, {}],
      ['along', content, { uploadDataDuringCreation: true }],
      ['chunks', content, { chunkSize: 500_000 }],
      ['stream', Readable.from([content]), { uploadLengthDeferred: true, chunkSize: 1_000_000 }],
    ] as const) {
      await upload(endpointOf(services[0]!), source, { path: `${RUN}/${name}/ü b%41.bin` }, options)
      expect(contentOf(`${name}/ü b%41.bin`).equals(content)).toBe(true)
    }
    expect(leftovers()).toEqual([])
  })

  it('goes on at another process of the service after each cut', async () => {
    const content = randomBytes(40 * MiB)
    let connections = 0
    const proxy = await cutting(() => (++connections % 2 === 0 ? 6 * MiB : 9 * MiB + 12_345))
    const { exchanges } = await upload(endpointOf(proxy), content, { path: `${RUN}/cut.bin` })
    expect(contentOf('cut.bin').equals(content)).toBe(true)
    expect(proxy.cuts).toBeGreaterThan(3)
    // One creation, and never a new beginning.
    expect(exchanges.filter(each => each === 'POST 201')).toHaveLength(1)
    expect(exchanges.filter(each => each.startsWith('HEAD'))).not.toContain('HEAD 404')
    expect(leftovers()).toEqual([])
  })

  it('ends with what was sent, wherever it is cut', async () => {
    const size = fc.integer({ min: 0, max: 2_000_000 })
    const chunk = fc.oneof(fc.constant(undefined), fc.integer({ min: 50_000, max: 700_000 }))
    await fc.assert(
      fc.asyncProperty(size, chunk, fc.array(size, { maxLength: 6 }), async (bytes, chunkSize, cuts) => {
        const content = randomBytes(bytes)
        const left = [...cuts]
        // Further than the first head, so that the client gets to know the URL.
        const proxy = await CuttingProxy.before(services, () =>
          left.length === 0 ? undefined : left.shift()! + 700,
        )
        try {
          await upload(
            endpointOf(proxy),
            content,
            { path: `${RUN}/any.bin` },
            chunkSize === undefined ? {} : { chunkSize },
          )
          expect(contentOf('any.bin').equals(content)).toBe(true)
          expect(leftovers()).toEqual([])
        } finally {
          await proxy.close()
        }
      }),
      { numRuns: 25 },
    )
  })

  it('goes on at a new process after the one before was killed', async () => {
    const victim = await another()
    const content = randomBytes(180 * MiB)
    let url: string | undefined
    const first = new Upload(content, {
      endpoint: endpointOf(victim),
      metadata: { path: `${RUN}/killed.bin` },
      retryDelays: [],
      onUploadUrlAvailable: () => (url = first.url!),
      onError: () => undefined,
    })
    first.start()
    await until(
      () => leftovers().filter(path => path.includes('/bytes/') && !path.includes('write-')).length > 0,
    )
    victim.kill('SIGKILL')
    await victim.ended
    expect(() => statSync(folder.at('killed.bin'))).toThrow()
    const next = await another()
    let resumedAt: number | undefined
    await upload(
      endpointOf(next),
      content,
      { path: `${RUN}/killed.bin` },
      {
        uploadUrl: url!.replace(victim.url, next.url),
        onProgress: sent => (resumedAt ??= sent),
      },
    )
    expect(resumedAt).toBeGreaterThanOrEqual(64 * MiB)
    expect(contentOf('killed.bin').equals(content)).toBe(true)
    await until(() => leftovers().length === 0)
  })

  it('goes on where it was after the process was told to end in mid-upload', async () => {
    const leaving = await another({ DRAIN_TIMEOUT: '200ms' })
    const content = randomBytes(8 * MiB)
    const { url } = await stalled(leaving, content, 'drained.bin')
    leaving.kill('SIGTERM')
    expect((await leaving.ended).code).toBe(0)
    let resumedAt: number | undefined
    await upload(
      endpointOf(services[0]!),
      content,
      {},
      {
        uploadUrl: `${services[0]!.url}${new URL(url).pathname}`,
        onProgress: sent => (resumedAt ??= sent),
      },
    )
    expect(resumedAt).toBeGreaterThan(3 * MiB)
    expect(contentOf('drained.bin').equals(content)).toBe(true)
  })

  it('goes on at another process while the first one still waits for a connection that is dead', async () => {
    const content = randomBytes(8 * MiB)
    const { url } = await stalled(services[0]!, content, 'elsewhere.bin')
    const uploadUrl = `${services[1]!.url}${new URL(url).pathname}`
    await upload(endpointOf(services[1]!), content, {}, { uploadUrl })
    expect(contentOf('elsewhere.bin').equals(content)).toBe(true)
    await Promise.all(closing.splice(0).map(each => each.close()))
    await sleep(200)
    expect(contentOf('elsewhere.bin').equals(content)).toBe(true)
    await upload(endpointOf(services[1]!), content, {}, { uploadUrl })
    await until(() => !leftovers().some(path => path.includes('write-')))
  })

  it('takes an upload for done whose last answer was lost', async () => {
    const content = randomBytes(1000)
    const proxy = await CuttingProxy.before([services[0]!], () => undefined)
    closing.push(proxy)
    let url = ''
    const once = new Upload(content, {
      endpoint: endpointOf(proxy),
      metadata: { path: `${RUN}/once.bin`, overwrite: 'false' },
      retryDelays: [],
      onUploadUrlAvailable: () => (url = once.url!),
    })
    await new Promise<void>((resolve, reject) => {
      once.options.onSuccess = () => resolve()
      once.options.onError = reject
      once.start()
    })
    const { exchanges } = await upload(endpointOf(proxy), content, {}, { uploadUrl: url })
    expect(exchanges).toEqual(['HEAD 200'])
  })

  it('is told why it may not upload, once', async () => {
    folder.write('there.txt', 'before')
    const refusal = async (metadata: Record<string, string>, options: UploadOptions = {}) => {
      const error = await upload(endpointOf(services[0]!), Buffer.from('after'), metadata, options).catch(
        (reason: unknown) => reason,
      )
      if (!(error instanceof DetailedError)) throw new Error('it was not refused')
      return [error.originalResponse?.getStatus(), error.originalResponse?.getBody()] as const
    }
    expect(await refusal({ path: `${RUN}/there.txt`, overwrite: 'false' })).toMatchObject([
      412,
      expect.stringContaining('precondition'),
    ])
    expect(await refusal({ path: '../x' })).toMatchObject([400, expect.stringContaining('problem')])
    expect(await refusal({})).toMatchObject([400, expect.stringContaining("no 'path'")])
    expect(await refusal({ path: `${RUN}/a` }, { parallelUploads: 2 })).toMatchObject([
      400,
      expect.stringContaining('one upload'),
    ])
    expect(contentOf('there.txt').toString()).toBe('before')
  })

  it('gives up an upload with everything that was sent', async () => {
    const before = readdirSync(join(folder.root, OWN)).length
    const abandoned = await stalled(services[0]!, randomBytes(8 * MiB), 'abandoned.bin')
    await abandoned.abort(true)
    expect(leftovers()).toEqual([])
    expect(readdirSync(join(folder.root, OWN))).toHaveLength(before)
  })
})

describeClient('curl', findProgram('curl'), curl => {
  it('uploads in two parts by the commands of the README', async () => {
    const content = randomBytes(3 * MiB)
    const file = join(folder.root, 'model.pt')
    writeFileSync(file, content)
    const endpoint = endpointOf(services[0]!)
    const script = `set -e
      field() { tr -d '\\r' | sed -n "s/^$1: //Ip"; }
      location=$(${curl} -sS -D - -o /dev/null -X POST -H 'Tus-Resumable: 1.0.0' -H "Upload-Length: $(stat -c %s model.pt)" \\
        -H "Upload-Metadata: path $(printf %s ${RUN}/by-curl.pt | base64 -w 0)" ${endpoint} | field Location)
      url=${services[0]!.url}/$location
      head -c 1000000 model.pt | ${curl} -sS -X PATCH -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' \\
        -H 'Content-Type: application/offset+octet-stream' -T - "$url"
      offset=$(${curl} -sS --head -H 'Tus-Resumable: 1.0.0' "$url" | field Upload-Offset)
      tail -c +$((offset + 1)) model.pt | ${curl} -sS -X PATCH -H 'Tus-Resumable: 1.0.0' -H "Upload-Offset: $offset" \\
        -H 'Content-Type: application/offset+octet-stream' -T - "$url"
      echo $offset`
    const { code, stdout, stderr } = await run('sh', ['-c', script], { cwd: folder.root })
    expect([code, stdout.toString(), stderr]).toEqual([0, '1000000\n', ''])
    expect(contentOf('by-curl.pt').equals(content)).toBe(true)
  })
})
