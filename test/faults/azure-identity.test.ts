// Identities in place of keys, for Azure Blob Storage. Tokens go by https only.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import type { AzureDefinition } from '../../src/store/definition.ts'
import type { ObjectClient } from '../../src/store/object-client.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { makeCertificate } from '../support/certificates.ts'
import { Listening } from '../support/listening.ts'
import { ACCOUNT, CONTAINER, ScriptedAzure } from '../support/scripted-azure.ts'

const TIMEOUTS = { connectMs: 2000, headersMs: 5000, idleMs: 2000 }
const NEVER = new AbortController().signal

async function connected(definition: AzureDefinition): Promise<ObjectClient> {
  const values = definition.secret?.values ?? {}
  const client = await azureObjects(definition)({ values, timeouts: TIMEOUTS })
  onTestFinished(() => client.close())
  return client
}

describeClient('openssl', findProgram('openssl'), openssl => {
  const folder = mkdtempSync(join(tmpdir(), 'azure-tls-'))
  let caFile: string
  let server: ScriptedAzure

  beforeAll(async () => {
    const certificate = makeCertificate(openssl, folder)
    caFile = certificate.file
    server = await ScriptedAzure.start(certificate)
    server.write('a', Buffer.from('a'))
  })
  afterAll(async () => {
    await server.close()
    rmSync(folder, { recursive: true })
  })

  describe('a managed identity', () => {
    /** Hands out tokens as the platform does to apps that run on it: https://learn.microsoft.com/azure/app-service/overview-managed-identity. */
    async function platform(): Promise<{ readonly asked: string[] }> {
      const asked: string[] = []
      const issuer = await Listening.start((request, response) => {
        asked.push(request.url ?? '')
        const expires = Math.floor(Date.now() / 1000) + 3600
        response.setHeader('content-type', 'application/json')
        response.end(
          JSON.stringify({ access_token: 'token', expires_on: String(expires), token_type: 'Bearer' }),
        )
      })
      vi.stubEnv('IDENTITY_ENDPOINT', `${issuer.origin}/token`)
      vi.stubEnv('IDENTITY_HEADER', 'header')
      vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'prod')
      onTestFinished(async () => {
        vi.unstubAllEnvs()
        await issuer.close()
      })
      return { asked }
    }

    const withoutKeys = (): AzureDefinition => {
      const { secret: _, ...definition } = server.definition({ caFile })
      return { ...definition, account: ACCOUNT }
    }

    it('reads without any key', async () => {
      const { asked } = await platform()
      let authorization: string | undefined
      server.intercept = request => {
        authorization = request.headers.authorization
        return false
      }
      onTestFinished(() => void (server.intercept = undefined))
      const client = await connected(withoutKeys())
      expect(await client.head('a', NEVER)).toMatchObject({ size: 1 })
      expect(authorization).toBe('Bearer token')
      expect(asked[0]).toContain(encodeURIComponent('https://storage.azure.com'))
    })

    /** Gives keys for the time that they are asked for; what is returned are the lifetimes asked for. */
    function delegating(): readonly number[] {
      const lifetimesMs: number[] = []
      server.intercept = (request, response) => {
        if (!request.url!.includes('comp=userdelegationkey')) return false
        void text(request).then(body => {
          const [, start = ''] = /<Start>([^<]*)/.exec(body) ?? []
          const [, expiry = ''] = /<Expiry>([^<]*)/.exec(body) ?? []
          lifetimesMs.push(Date.parse(expiry) - Date.parse(start))
          response.setHeader('content-type', 'application/xml')
          response.end(
            `<?xml version="1.0"?><UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid><SignedStart>${start}</SignedStart><SignedExpiry>${expiry}</SignedExpiry><SignedService>b</SignedService><SignedVersion>2026-10-06</SignedVersion><Value>a2V5</Value></UserDelegationKey>`,
          )
        })
        return true
      }
      onTestFinished(() => void (server.intercept = undefined))
      return lifetimesMs
    }

    it('signs no URL and asks for no key for longer than the seven days that a key may live', async () => {
      await platform()
      const lifetimesMs = delegating()
      const client = await connected(withoutKeys())
      const request = { disposition: 'inline', mediaType: 'text/plain', expiresInSeconds: 30 * 24 * 3600 }
      const url = new URL((await client.signedUrl('a', request, NEVER))!)
      expect(lifetimesMs).toHaveLength(1)
      expect(lifetimesMs[0]).toBeLessThanOrEqual(7 * 24 * 3600_000)
      const expiresOn = Date.parse(url.searchParams.get('se')!)
      expect(expiresOn).toBeLessThanOrEqual(Date.parse(url.searchParams.get('ske')!))
      expect(expiresOn - Date.now()).toBeGreaterThan(6 * 24 * 3600_000)
    })

    it('signs URLs by a user delegation key, which it asks for once', async () => {
      await platform()
      const lifetimesMs = delegating()
      const client = await connected(withoutKeys())
      const request = {
        disposition: 'attachment; filename="a"',
        mediaType: 'text/plain',
        expiresInSeconds: 60,
      }
      const [first, second] = [
        await client.signedUrl('x y/ü', request, NEVER),
        await client.signedUrl('b', request, NEVER),
      ]
      const url = new URL(first!)
      expect(url.pathname).toBe(`/${ACCOUNT}/${CONTAINER}/x%20y/%C3%BC`)
      expect(Object.fromEntries(url.searchParams)).toMatchObject({
        ...{ skoid: 'oid', sktid: 'tid', sp: 'r', sr: 'b', spr: 'https' },
        ...{ rscd: 'attachment; filename="a"', rsct: 'text/plain' },
      })
      expect(second).not.toBe(first)
      expect(lifetimesMs).toHaveLength(1)
    })

    it('that is not there is said so, and how to get one', async () => {
      vi.stubEnv('IDENTITY_ENDPOINT', '')
      // Only what needs no network: it would ask for the address of a cloud's metadata service.
      vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'EnvironmentCredential')
      onTestFinished(() => void vi.unstubAllEnvs())
      const client = await connected(withoutKeys())
      await expect(client.head('a', NEVER)).rejects.toMatchObject({
        reason: 'credentials',
        advice: expect.stringContaining('no identity') as string,
      })
    })
  })
})

describe('an identity', () => {
  it('over plain http is a mistake of the configuration', async () => {
    const server = await ScriptedAzure.start()
    onTestFinished(() => server.close())
    const { secret: _, ...definition } = server.definition()
    await expect(connected({ ...definition, account: ACCOUNT })).rejects.toMatchObject({
      reason: 'misconfigured',
      advice: expect.stringContaining('https') as string,
    })
  })
})
