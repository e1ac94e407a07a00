// A body on its way into a store: as a whole or not at all, however it is cut into chunks and wherever it ends.
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { ErrorKind } from '../../src/errors.ts'
import { expectedDigests } from '../../src/http/expected-digests.ts'
import { receive, type PourOptions } from '../../src/http/receive.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import type { PendingArtifact } from '../../src/store/store.ts'

const PATH = parsePath('folder/file.bin')
const { signal } = new AbortController()

async function contentOf(store: MemoryStore): Promise<Buffer | undefined> {
  try {
    const artifact = await store.open(PATH)
    const chunks: Uint8Array[] = []
    for await (const chunk of artifact.read(0, artifact.entry.size)) chunks.push(chunk)
    return Buffer.concat(chunks)
  } catch {
    return undefined
  }
}

async function* source(chunks: readonly Uint8Array[], end?: Error): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk
  if (end !== undefined) throw end
}

const reset = (): Error => Object.assign(new Error('aborted'), { code: 'ECONNRESET' })

/** The kind of the failure; undefined when it worked. */
async function outcome(
  store: MemoryStore,
  body: AsyncIterable<Uint8Array>,
  options: Partial<PourOptions> = {},
): Promise<ErrorKind | undefined> {
  const pending = await store.create(PATH)
  try {
    await receive(body, pending, { maxBytes: 1e6, signal, ...options })
    return undefined
  } catch (error) {
    return (error as { kind: ErrorKind }).kind
  }
}

describe('any content in any chunks', () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })

  it('is stored as it was sent', async () => {
    await fc.assert(
      fc.asyncProperty(chunks, fc.boolean(), async (pieces, announced) => {
        const store = new MemoryStore()
        const whole = Buffer.concat(pieces)
        const sha256 = createHash('sha256').update(whole).digest('base64')
        const digests = expectedDigests({ 'content-digest': `sha-256=:${sha256}:` })
        const options = { digests, size: announced ? whole.length : undefined }
        expect(await outcome(store, source(pieces), options)).toBeUndefined()
        expect(await contentOf(store)).toEqual(whole)
      }),
    )
  })

  it('leaves what was there when it is cut, shorter, longer, damaged or too large', async () => {
    await fc.assert(
      fc.asyncProperty(
        chunks,
        fc.nat(),
        fc.constantFrom('cut', 'shorter', 'longer', 'damaged', 'too large'),
        async (pieces, random, fault) => {
          const store = new MemoryStore()
          store.write(PATH, Buffer.from('before'))
          const size = Buffer.concat(pieces).length
          const left = pieces.slice(0, random % (pieces.length + 1))
          const other = { algorithm: 'sha256', value: Buffer.alloc(32), field: 'Content-Digest' }
          const [body, options, kind] = {
            cut: [source(left, reset()), { size }, 'Aborted'] as const,
            shorter: [source(pieces), { size: size + 1 + random }, 'InvalidArgument'] as const,
            longer: [source([...pieces, Buffer.from('x')]), { size }, 'InvalidArgument'] as const,
            damaged: [source(pieces), { size, digests: [other] }, 'InvalidArgument'] as const,
            'too large': [source([...pieces, Buffer.from('x')]), { maxBytes: size }, 'TooLarge'] as const,
          }[fault]
          expect(await outcome(store, body, { ...options, maxBytes: 1e12, ...options })).toBe(kind)
          expect(await contentOf(store)).toEqual(Buffer.from('before'))
        },
      ),
    )
  })
})

describe('a source', () => {
  it('is asked for the next chunk only when the store has taken the last one', async () => {
    let writing = 0
    let most = 0
    let asked = 0
    const pending: PendingArtifact = {
      write: async () => {
        most = Math.max(most, ++writing)
        await sleep(2)
        writing--
      },
      complete: async () => new MemoryStore().stat(parsePath('')),
      abort: async () => undefined,
    }
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (; asked < 20; asked++) {
        expect(writing).toBe(0)
        yield Buffer.alloc(10)
      }
    }
    await receive(counted(), pending, { maxBytes: 1e6, signal })
    expect([most, asked]).toEqual([1, 20])
  })

  it('that stands still is given up, and one that is only slow is not', async () => {
    async function* every(ms: number): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 5; i++) {
        await sleep(ms)
        yield Buffer.from('x')
      }
    }
    const store = new MemoryStore()
    expect(await outcome(store, every(300), { idleMs: 50 })).toBe('TimedOut')
    expect(await contentOf(store)).toBeUndefined()
    expect(await outcome(store, every(30), { idleMs: 100 })).toBeUndefined()
    expect(await contentOf(store)).toEqual(Buffer.from('xxxxx'))
  })

  it('that is refused by its size is not asked at all', async () => {
    let asked = false
    async function* never(): AsyncGenerator<Uint8Array> {
      asked = true
      yield Buffer.alloc(1)
    }
    expect(await outcome(new MemoryStore(), never(), { size: 11, maxBytes: 10 })).toBe('TooLarge')
    expect(asked).toBe(false)
  })

  it('is left at once when the request ends', async () => {
    const ending = new AbortController()
    async function* forever(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x')
      await new Promise(() => undefined)
    }
    const store = new MemoryStore()
    const pending = await store.create(PATH)
    const reason = new Error('over')
    setTimeout(() => ending.abort(reason), 20)
    await expect(receive(forever(), pending, { maxBytes: 10, signal: ending.signal })).rejects.toBe(reason)
    expect(await contentOf(store)).toBeUndefined()
  })
})

describe('the digests of a request', () => {
  const of = (algorithm: string, text = 'content'): string =>
    createHash(algorithm).update(text).digest('base64')
  const body = (): AsyncIterable<Uint8Array> => source([Buffer.from('con'), Buffer.from('tent')])

  it.each([
    ['content-digest', `sha-256=:${of('sha256')}:`],
    ['content-digest', `sha-512=:${of('sha512')}:, sha-256=:${of('sha256')}:`],
    ['repr-digest', `sha-512=:${of('sha512')}:;x=1`],
    ['repr-digest', `unixsum=:AAAA:, md5=:AAAA:`],
    ['content-md5', of('md5')],
  ])('%s: %s are kept', async (field, value) => {
    const digests = expectedDigests({ [field]: value })
    expect(await outcome(new MemoryStore(), body(), { digests })).toBeUndefined()
  })

  it.each([
    ['content-digest', `sha-256=:${of('sha256', 'other')}:`],
    ['content-digest', `sha-256=:${of('sha256')}:, sha-512=:${of('sha512', 'other')}:`],
    ['repr-digest', `sha-512=:${of('sha512', 'other')}:`],
    ['content-md5', of('md5', 'other')],
  ])('%s: %s are not kept, and nothing is stored', async (field, value) => {
    const store = new MemoryStore()
    const digests = expectedDigests({ [field]: value })
    expect(await outcome(store, body(), { digests })).toBe('InvalidArgument')
    expect(await contentOf(store)).toBeUndefined()
  })

  it.each([
    ['content-digest', ''],
    ['content-digest', 'sha-256'],
    ['content-digest', `sha-256=${of('sha256')}`],
    ['content-digest', 'sha-256=:AAAA:'],
    ['repr-digest', `sha-256=:${of('sha256')}:,`],
    ['repr-digest', `SHA-256=:${of('sha256')}:`],
    ['content-md5', ''],
    ['content-md5', 'AAAA'],
    ['content-md5', `${of('md5')}, ${of('md5')}`],
    ['content-md5', `:${of('md5')}:`],
  ])('%s: %s cannot be read', (field, value) => {
    expect(() => expectedDigests({ [field]: value })).toThrow('cannot be read')
  })
})
