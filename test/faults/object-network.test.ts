// The way to a store, for each driver: certificates, proxies, names that lead nowhere, and connections that never stand.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { setGlobalProxyFromEnv } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import type { ConnectObjects, ObjectClient, ObjectTimeouts } from '../../src/store/object-client.ts'
import { s3Objects } from '../../src/store/s3.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { makeCertificate, type Certificate } from '../support/certificates.ts'
import { ForwardProxy } from '../support/forward-proxy.ts'
import { ScriptedAzure } from '../support/scripted-azure.ts'
import { ScriptedGcs } from '../support/scripted-gcs.ts'
import { KEYS, ScriptedS3 } from '../support/scripted-s3.ts'

const NEVER = new AbortController().signal
const LIST = { prefix: '', delimiter: undefined, maxKeys: 10 } as const
const TIMEOUTS: ObjectTimeouts = { connectMs: 2000, headersMs: 5000, idleMs: 2000 }

interface Settings {
  readonly endpoint?: string
  readonly caFile?: string
  readonly verifyTls?: boolean
}

/** A server that has the object `a`. */
interface Served {
  readonly endpoint: string
  readonly objects: (settings: Settings) => ConnectObjects
  readonly values: Readonly<Record<string, string>>
  /** How long the next list takes. */
  readonly delayNext: (ms: number) => void
  readonly close: () => Promise<void>
}

const DRIVERS: Readonly<Record<string, (tls?: Certificate) => Promise<Served>>> = {
  s3: async tls => {
    const s3 = await ScriptedS3.start(tls)
    s3.put('a', 'a')
    return {
      endpoint: s3.endpoint,
      objects: settings => s3Objects(s3.definition(settings)),
      values: KEYS,
      delayNext: ms => s3.next((request, response) => void sleep(ms).then(() => s3.serve(request, response))),
      close: () => s3.close(),
    }
  },
  gcs: async tls => {
    const gcs = await ScriptedGcs.start(tls)
    gcs.write('a', Buffer.from('a'))
    return {
      endpoint: gcs.endpoint,
      objects: settings => gcsObjects(gcs.definition(settings)),
      values: {},
      delayNext: ms =>
        gcs.once((_, response) => {
          const resource = { name: 'a', size: '1', generation: '1', timeCreated: new Date() }
          setTimeout(() => response.end(JSON.stringify({ items: [resource] })), ms)
          return true
        }),
      close: () => gcs.close(),
    }
  },
  azure: async tls => {
    const azure = await ScriptedAzure.start(tls)
    azure.write('a', Buffer.from('a'))
    return {
      endpoint: azure.endpoint,
      objects: settings => azureObjects(azure.definition(settings)),
      values: azure.definition().secret!.values,
      delayNext: ms => {
        azure.intercept = (request, response) => {
          if (request.url?.includes('comp=list') !== true) return false
          azure.intercept = undefined
          response.setHeader('content-type', 'application/xml')
          const name = '<Name>a</Name><Properties><Content-Length>1</Content-Length><Etag>0x1</Etag>'
          const modified = `<Last-Modified>${new Date().toUTCString()}</Last-Modified></Properties>`
          const blobs = `<Blobs><Blob>${name}${modified}</Blob></Blobs><NextMarker/>`
          setTimeout(() => response.end(`<EnumerationResults>${blobs}</EnumerationResults>`), ms)
          return true
        }
      },
      close: () => azure.close(),
    }
  },
}

/** The keys that a client lists which is closed afterwards. */
async function listed(served: Served, settings: Settings = {}, timeouts = TIMEOUTS): Promise<string[]> {
  const client: ObjectClient = await served.objects(settings)({ values: served.values, timeouts })
  try {
    return (await client.list(LIST, NEVER)).objects.map(({ key }) => key)
  } finally {
    client.close()
  }
}

/** For the rest of the test, as whoever starts the process sets it. */
function useProxy(variables: Readonly<Record<string, string>>): void {
  onTestFinished(setGlobalProxyFromEnv(variables))
}

async function startProxy(options?: Parameters<typeof ForwardProxy.start>[0]): Promise<ForwardProxy> {
  const proxy = await ForwardProxy.start(options)
  onTestFinished(() => proxy.close())
  return proxy
}

/** The URL of a server that takes connections and never says anything. */
async function muteServer(): Promise<string> {
  const mute = createServer(socket => void socket.on('error', () => undefined).resume())
  await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void mute.close())
  return `https://127.0.0.1:${(mute.address() as AddressInfo).port}`
}

const advising = (words: string): object => ({
  reason: 'misconfigured',
  advice: expect.stringContaining(words) as string,
})

describe.each(Object.keys(DRIVERS))('%s', name => {
  const start = DRIVERS[name]!

  describeClient('openssl', findProgram('openssl'), openssl => {
    const folder = mkdtempSync(join(tmpdir(), 'object-tls-'))
    let certificate: Certificate
    let served: Served

    beforeAll(async () => {
      certificate = makeCertificate(openssl, folder)
      served = await start(certificate)
    })
    afterAll(async () => {
      await served.close()
      rmSync(folder, { recursive: true })
    })

    it('refuses a certificate that nobody vouches for, with what to configure', async () => {
      await expect(listed(served)).rejects.toMatchObject(advising('caFile'))
    })

    it('trusts it once its issuer is configured, and any where that is configured', async () => {
      expect(await listed(served, { caFile: certificate.file })).toEqual(['a'])
      expect(await listed(served, { verifyTls: false })).toEqual(['a'])
    })

    it('refuses a certificate for another host', async () => {
      const endpoint = served.endpoint.replace('127.0.0.1', 'localhost')
      const listing = listed(served, { endpoint, caFile: certificate.file })
      await expect(listing).rejects.toMatchObject(advising('another host name'))
    })

    it('checks certificates through a proxy as well, whose tunnel lives longer than connecting may take', async () => {
      const proxy = await startProxy()
      useProxy({ HTTPS_PROXY: proxy.url })
      await expect(listed(served)).rejects.toMatchObject(advising('caFile'))
      served.delayNext(600)
      const timeouts = { ...TIMEOUTS, connectMs: 300 }
      expect(await listed(served, { caFile: certificate.file }, timeouts)).toEqual(['a'])
      const tunnel = `CONNECT ${new URL(served.endpoint).host}`
      expect(new Set(proxy.seen)).toEqual(new Set([tunnel]))
    })

    it.each(['without a certificate', 'that is missing'])(
      'takes a caFile %s for a mistake of the configuration, and keeps its path from clients',
      async what => {
        const caFile = join(folder, `${what}.pem`)
        if (what === 'without a certificate') writeFileSync(caFile, 'nothing')
        const failure: unknown = await listed(served, { caFile }).catch((error: unknown) => error)
        expect(failure).toMatchObject(advising('caFile'))
        expect((failure as { advice: string }).advice).not.toContain(folder)
      },
    )
  })

  it.each(['a server', 'a server behind a proxy', 'a proxy'])(
    'ends at the timeout for connecting where %s keeps silent',
    async who => {
      const served = await start()
      onTestFinished(() => served.close())
      const { pathname } = new URL(served.endpoint)
      const endpoint = (await muteServer()) + (pathname === '/' ? '' : pathname)
      if (who !== 'a server') {
        const proxy = await startProxy({ tunnels: who === 'a server behind a proxy' })
        useProxy({ HTTPS_PROXY: proxy.url })
      }
      const begunAtMs = performance.now()
      const listing = listed(served, { endpoint }, { ...TIMEOUTS, connectMs: 200, headersMs: 10_000 })
      await expect(listing).rejects.toMatchObject({ reason: 'timeout' })
      expect(performance.now() - begunAtMs).toBeLessThan(2000)
    },
  )

  it('uses the proxy of the process, except for hosts that are to be reached without it', async () => {
    const served = await start()
    onTestFinished(() => served.close())
    const proxy = await startProxy()
    useProxy({ HTTP_PROXY: proxy.url, NO_PROXY: 'direct.invalid' })
    expect(await listed(served)).toEqual(['a'])
    const asked = proxy.seen.length
    expect(asked).toBeGreaterThan(0)
    for (const request of proxy.seen) expect(request).toContain(`GET ${new URL(served.endpoint).origin}/`)
    const direct = served.endpoint.replace('127.0.0.1', 'direct.invalid')
    await expect(listed(served, { endpoint: direct })).rejects.toMatchObject({ reason: 'unreachable' })
    expect(proxy.seen).toHaveLength(asked)
  })

  it('says what ails a server that is none', async () => {
    const served = await start()
    const { endpoint } = served
    const tls = endpoint.replace('http:', 'https:')
    await expect(listed(served, { endpoint: tls })).rejects.toMatchObject(advising('TLS'))
    const nowhere = endpoint.replace('127.0.0.1', 'nowhere.invalid')
    await expect(listed(served, { endpoint: nowhere })).rejects.toMatchObject({ reason: 'unreachable' })
    await served.close()
    await expect(listed(served, { endpoint })).rejects.toMatchObject({ reason: 'unreachable' })
  })
})
