// The account that the surroundings offer, where they offer none yet.
import { tmpdir } from 'node:os'
import { expect, it, onTestFinished, vi } from 'vitest'
import { GcsTokens } from '../../src/store/gcs-tokens.ts'
import { Listening } from '../support/listening.ts'

const NEVER = new AbortController().signal

it('is looked for again at every request, and found once it is there, with no more than one warning', async () => {
  let state: 'refusing' | 'silent' | 'there' = 'refusing'
  let asked = 0
  const metadata = await Listening.start((request, response) => {
    asked += 1
    response.setHeader('metadata-flavor', 'Google')
    if (state === 'silent') return
    if (state === 'refusing') response.writeHead(403).end()
    else if (request.url?.includes('/token') === true)
      response.end(JSON.stringify({ access_token: 'good', expires_in: 3600, token_type: 'Bearer' }))
    else if (request.url?.includes('universe') === true) response.writeHead(404).end()
    else response.end('service-accounts/')
  })
  vi.stubEnv('GCE_METADATA_HOST', new URL(metadata.origin).host)
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined)
  vi.stubEnv('CLOUDSDK_CONFIG', tmpdir())
  vi.stubEnv('HOME', tmpdir())
  const warnings: string[] = []
  const listener = ({ name }: Error): void => void warnings.push(name)
  process.on('warning', listener)
  onTestFinished(async () => {
    process.off('warning', listener)
    vi.unstubAllEnvs()
    await metadata.close()
  })

  const tokens = new GcsTokens(undefined, {}, 5000)
  for (let i = 1; i <= 3; i++) {
    const before = asked
    await expect(tokens.headers(NEVER)).rejects.toMatchObject({ reason: 'credentials' })
    expect(asked).toBeGreaterThan(before)
  }
  state = 'silent'
  const began = performance.now()
  await expect(tokens.headers(NEVER)).rejects.toMatchObject({ reason: 'credentials' })
  expect(performance.now() - began).toBeLessThan(2500)
  state = 'there'
  // A search that began in silence may have to end first.
  const found = (): Promise<object> => tokens.headers(NEVER).catch((error: unknown) => error as object)
  await expect.poll(found, { timeout: 20_000 }).toMatchObject({ authorization: 'Bearer good' })
  expect(warnings).toEqual(['MetadataLookupWarning'])
}, 30_000)
