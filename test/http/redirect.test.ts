// Files that clients fetch from the store itself: what a client that follows the address ends up with, on real servers.
import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { gcsObjects } from '../../src/store/gcs.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { bytes, type Harness } from '../contract/harness.ts'
import { ask } from '../support/client.ts'
import type { Answer, Ask } from '../support/client.ts'
import { serverSettings, type StoreUnderTest } from '../support/servers.ts'
import { startService, type Service } from '../support/service.ts'
import { azurite, makeAzurite } from '../support/store-azure.ts'
import { fakeGcs, makeFakeGcs } from '../support/store-gcs.ts'
import { minio, moto, redirectingMinio, redirectingMoto } from '../support/store-s3.ts'
import { asServed, describeEach } from '../support/stores.ts'

const RUN = 'ann/mnist/experiments/1/'
const REAL = [minio, moto, fakeGcs, azurite]

/** The emulator looks at no signatures, but only a key can make some; in a universe of its own, that key needs no token endpoint. */
async function makeSigningGcs(): Promise<Harness> {
  const plain = await makeFakeGcs(serverSettings('gcs')!['endpoint']!)
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const account = {
    type: 'service_account',
    client_email: 'reader@models.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    universe_domain: 'example.cloud',
  }
  const definition = {
    ...plain.definition,
    delivery: 'redirect' as const,
    secret: { label: 'the key of the test', values: { GC_KEYFILE_DICT: JSON.stringify(account) }, files: [] },
  }
  const store = openObjectStore(definition, gcsObjects(definition))
  return {
    ...plain,
    store,
    close: async () => {
      await store.close()
      await plain.close()
    },
  }
}

const SIGNING: readonly StoreUnderTest[] = [
  redirectingMinio,
  redirectingMoto,
  { ...fakeGcs, make: makeSigningGcs },
  { ...azurite, make: () => makeAzurite({ definition: { delivery: 'redirect' } }) },
]

describeEach(SIGNING, signing => {
  let harness: Harness
  let service: Service
  beforeEach(async () => {
    harness = await signing.make()
    service = await startService('', {}, asServed(harness.store))
  })
  afterEach(async () => {
    await service.close()
    await harness.close()
  })

  /** As curl and browsers do: the same headers go to wherever the answer leads. */
  async function follow(target: string, options: Ask = {}): Promise<{ last: Answer; hops: number }> {
    let last = await ask(`${service.url}/outputs/${RUN}${target}`, options)
    let hops = 0
    for (; last.status === 307; hops++) last = await ask(last.headers.location!, options)
    return { last, hops }
  }

  it('sends a client to the bytes, whole or in part', async () => {
    await harness.write(`${RUN}model.bin`, bytes('0123456789'))
    const whole = await follow('model.bin?redirect')
    expect([whole.hops, whole.last.status, whole.last.text]).toEqual([1, 200, '0123456789'])
    const part = await follow('model.bin?redirect', { headers: { range: 'bytes=4-' } })
    expect([part.hops, part.last.status, part.last.text]).toEqual([1, 206, '456789'])
    const end = await follow('model.bin?redirect', { headers: { range: 'bytes=-2' } })
    expect([end.last.status, end.last.text]).toEqual([206, '89'])
    const several = await follow('model.bin?redirect', { headers: { range: 'bytes=0-0,9-9' } })
    expect([several.last.status, several.last.headers['content-type']]).toEqual([
      206,
      expect.stringMatching(/^multipart\/byteranges/),
    ])
  })

  it('gives a download that is resumed with If-Range its rest, or the new content whole', async () => {
    await harness.write(`${RUN}model.bin`, bytes('old old old'))
    const { etag } = (await ask(`${service.url}/outputs/${RUN}model.bin`, { method: 'HEAD' })).headers
    const resume = { headers: { range: 'bytes=4-', 'if-range': etag! } }
    const same = (await follow('model.bin?redirect', resume)).last
    expect([same.status, same.text]).toEqual([206, 'old old'])
    await harness.write(`${RUN}model.bin`, bytes('NEW NEW NEW NEW'))
    const other = (await follow('model.bin?redirect', resume)).last
    expect([other.status, other.text]).toEqual([200, 'NEW NEW NEW NEW'])
  })
})

describeEach(REAL, real => {
  it('serves a file itself where a client asks for the address of a server that is not known to be public', async () => {
    const harness = await real.make()
    const service = await startService('', {}, asServed(harness.store))
    try {
      await harness.write(`${RUN}model.bin`, bytes('0123456789'))
      const answer = await ask(`${service.url}/outputs/${RUN}model.bin?redirect`)
      expect([answer.status, answer.text, answer.headers.location]).toEqual([200, '0123456789', undefined])
    } finally {
      await service.close()
      await harness.close()
    }
  })
})
