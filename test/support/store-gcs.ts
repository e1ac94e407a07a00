// Cloud Storage on fake-gcs-server: a fresh bucket for each store, changed behind its back by plain HTTP.
import { randomUUID } from 'node:crypto'
import type { GcsDefinition } from '../../src/store/definition.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { Harness } from '../contract/harness.ts'
import { serverSettings, type StoreUnderTest } from './servers.ts'

export const OBJECT_CAPABILITIES = {
  emptyDirectories: false,
  modes: false,
  links: false,
  changesInPlace: false,
  latency: 'network',
} as const

const settings = serverSettings('gcs')

export const fakeGcs: StoreUnderTest = {
  title: 'Cloud Storage on fake-gcs-server (needs TEST_GCS)',
  available: settings !== undefined,
  capabilities: OBJECT_CAPABILITIES,
  make: options => makeFakeGcs(settings!['endpoint']!, options),
}

export async function makeFakeGcs(
  endpoint: string,
  { prefix = '' }: { readonly prefix?: string } = {},
): Promise<Harness & { readonly definition: GcsDefinition }> {
  const bucket = new EmulatedBucket(endpoint, `outputs-gcs-${randomUUID()}`)
  await bucket.create()
  if (prefix !== '') {
    // Look-alikes that are no part of the store.
    await bucket.write(`${prefix.slice(0, -1)}-decoy`, Buffer.from('decoy'))
    await bucket.write('decoy/file', Buffer.from('decoy'))
  }
  const definition: GcsDefinition = {
    kind: 'gcs',
    name: 'models',
    readOnly: false,
    delivery: 'proxy',
    bucket: bucket.name,
    prefix,
    endpoint,
    maxConnections: 64,
    signedUrlSeconds: 60,
  }
  const store = openObjectStore(definition, gcsObjects(definition))
  return {
    store,
    definition,
    keepsTimes: false,
    write: (path, content) => bucket.write(prefix + path, content),
    remove: async path => {
      await bucket.remove(prefix + path)
      await bucket.removeBelow(`${prefix}${path}/`)
    },
    close: async () => {
      await store.close()
      await bucket.removeBelow('')
      await bucket.destroy()
    },
  }
}

class EmulatedBucket {
  readonly name: string
  readonly #endpoint: string

  constructor(endpoint: string, name: string) {
    this.#endpoint = endpoint
    this.name = name
  }

  create(): Promise<unknown> {
    const body = JSON.stringify({ name: this.name })
    return this.#ask('POST', '/storage/v1/b?project=test', body)
  }

  destroy(): Promise<unknown> {
    return this.#ask('DELETE', `/storage/v1/b/${this.name}`)
  }

  async write(key: string, content: Uint8Array): Promise<void> {
    const query = new URLSearchParams({ uploadType: 'media', name: key }).toString()
    await this.#ask('POST', `/upload/storage/v1/b/${this.name}/o?${query}`, content)
  }

  remove(key: string): Promise<unknown> {
    return this.#ask('DELETE', `/storage/v1/b/${this.name}/o/${encodeURIComponent(key)}`, undefined, [404])
  }

  async removeBelow(prefix: string): Promise<void> {
    const query = new URLSearchParams({ prefix, maxResults: '100000' }).toString()
    const page = await this.#ask('GET', `/storage/v1/b/${this.name}/o?${query}`)
    const keys = ((page as { items?: { name: string }[] }).items ?? []).map(({ name }) => name)
    const worker = async (): Promise<void> => {
      for (let key = keys.pop(); key !== undefined; key = keys.pop()) await this.remove(key)
    }
    await Promise.all(Array.from({ length: 16 }, worker))
  }

  async #ask(
    method: string,
    target: string,
    body?: string | Uint8Array,
    alsoFine: readonly number[] = [],
  ): Promise<unknown> {
    const response = await fetch(this.#endpoint + target, {
      method,
      ...(body !== undefined && { body: typeof body === 'string' ? body : new Uint8Array(body) }),
    })
    const text = await response.text()
    if (!response.ok && !alsoFine.includes(response.status))
      throw new Error(`${method} ${target}: ${response.status} ${text}`)
    return text.startsWith('{') ? JSON.parse(text) : undefined
  }
}
