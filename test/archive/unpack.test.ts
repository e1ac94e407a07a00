// How unpacking ends: limits, cuts, failures of the store and of the source, and what is left of it all.
import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { createGzip, deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rotatingBuffers } from '../../src/content/rope-buffers.ts'
import { AppError } from '../../src/errors.ts'
import { UnpackError, type UnpackFormat } from '../../src/content/unpack.ts'
import { storeError } from '../../src/store/failure.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath, type ArtifactPath } from '../../src/store/path.ts'
import type { ArtifactStore, Capabilities, CreateOptions, PendingArtifact } from '../../src/store/store.ts'
import { openArchive } from './archives.ts'
import { SyntheticStore, zeros } from './synthetic-store.ts'
import {
  contentsOf,
  failureOf,
  filesOf,
  inChunks,
  paxOf,
  ROOMY,
  TAR_END,
  tarMember,
  tarOf,
  unpackFrom,
  zipOf,
  type TarParts,
} from './unpacking.ts'

const MiB = 2 ** 20

/** Watches, delays and fails the changes of a store in memory. */
class WatchedStore extends MemoryStore {
  override readonly capabilities: Capabilities
  before: (step: string, path: ArtifactPath) => Promise<void> | void = () => undefined
  pending = 0
  maxPending = 0
  completed: string[] = []
  sizes: (number | undefined)[] = []

  constructor(capabilities: Partial<Capabilities> = {}) {
    super()
    this.capabilities = {
      emptyDirectories: true,
      modes: false,
      links: false,
      changesInPlace: true,
      latency: 'disk',
      ...capabilities,
    }
  }

  override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
    await this.before('create', path)
    const inner = await super.create(path, options)
    this.sizes.push(options?.size)
    this.maxPending = Math.max(this.maxPending, ++this.pending)
    let open = true
    const end = (): void => {
      if (open) this.pending--
      open = false
    }
    return {
      write: async chunk => {
        await this.before('write', path)
        await inner.write(chunk)
      },
      complete: async () => {
        await this.before('complete', path)
        const entry = await inner.complete()
        this.completed.push(path)
        end()
        return entry
      },
      abort: async () => {
        end()
        await inner.abort()
      },
    }
  }

  override async remove(path: ArtifactPath, options?: Parameters<MemoryStore['remove']>[1]): Promise<void> {
    await this.before('remove', path)
    await super.remove(path, options)
  }
}

/** Takes everything and keeps nothing, so that memory shows what unpacking holds. */
function bottomless(): ArtifactStore & { bytes: number } {
  const store = new MemoryStore() as MemoryStore & { bytes: number }
  store.bytes = 0
  store.create = async path => ({
    write: async chunk => {
      await turn()
      store.bytes += chunk.length
    },
    complete: async () => ({ path, type: 'file', size: 0, lastModifiedMs: 0, etag: 'e', mode: undefined }),
    abort: async () => undefined,
  })
  return store
}

const named = (count: number, content = 'x'): TarParts[] =>
  Array.from({ length: count }, (_, i) => ({ name: `m${i}`, content }))

describe('limits', () => {
  const limits = { maxEntries: 3, maxBytes: 10, maxRatio: 100 }

  it('hold for members, folders among them', async () => {
    expect(await filesOf(tarOf(...named(3)), 'tar', { limits })).toEqual({ m0: 'x', m1: 'x', m2: 'x' })
    const failure = await failureOf(tarOf(...named(4)), 'tar', { limits })
    expect(failure).toMatchObject({ kind: 'TooLarge', written: { files: 3, bytes: 3 } })
    expect(failure.message).toBe('The archive is too large: it has more than 3 members.')
    const folders = Array.from({ length: 4 }, (_, i) => ({ name: `d${i}/`, method: 0 }))
    expect((await failureOf(zipOf(folders), 'zip', { limits })).kind).toBe('TooLarge')
  })

  it('hold for bytes, before any is written where the archive tells', async () => {
    expect(await filesOf(tarOf(...named(2, 'fives')), 'tar', { limits })).toEqual({
      m0: 'fives',
      m1: 'fives',
    })
    const store = new WatchedStore()
    const archive = tarOf({ name: 'a', content: 'x'.repeat(11) })
    expect((await failureOf(archive, 'tar', { limits, store })).kind).toBe('TooLarge')
    const streamed = zipOf([{ name: 'a', content: 'x'.repeat(11), sizes: 'signed' }])
    expect((await failureOf(streamed, 'zip', { limits, store })).kind).toBe('TooLarge')
    expect(store.sizes).toEqual([])
  })

  it('hold for what is said about members too', async () => {
    const comments = Array.from({ length: 5 }, () => paxOf({ comment: 'x'.repeat(100_000) }, 'g'))
    const tight = { ...limits, maxBytes: 450_000 }
    expect((await failureOf(tarOf(...comments), 'tar', { limits: tight })).kind).toBe('TooLarge')
  })

  it('hold for names together', async () => {
    const name = `${'n'.repeat(250)}/`.repeat(16)
    const archive = tarOf(paxOf({ path: `${name}x` }), { name: 'x' })
    const members = archive.subarray(0, archive.length - TAR_END.length)
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield members
    }
    const failure = await failureOf(endless(), 'tar', { store: bottomless() })
    expect(failure.message).toContain('the names in it have more than')
  })

  it.each<[string, UnpackFormat, () => Buffer]>([
    ['a gzip', 'tar.gz', () => gzipSync(tarOf({ name: 'a', content: Buffer.alloc(64 * MiB) }))],
    ['a zip', 'zip', () => zipOf([{ name: 'a', content: Buffer.alloc(64 * MiB) }])],
    ['a streamed zip', 'zip', () => zipOf([{ name: 'a', content: Buffer.alloc(64 * MiB), sizes: 'signed' }])],
    [
      'many members of a zip',
      'zip',
      () => zipOf(Array.from({ length: 64 }, (_, i) => ({ name: `${i}`, content: Buffer.alloc(MiB) }))),
    ],
  ])('hold for the ratio: a bomb in %s', async (_title, format, make) => {
    const store = bottomless()
    const failure = await failureOf(make(), format, { store })
    expect(failure).toMatchObject({ kind: 'TooLarge' })
    expect(failure.message).toContain('more than 200 times its own size')
    expect(store.bytes).toBeLessThan(32 * MiB)
  })

  it('let small archives of zeros pass', async () => {
    const archive = gzipSync(tarOf({ name: 'zeros', content: Buffer.alloc(8 * MiB) }))
    expect(await unpackFrom(inChunks(archive), 'tar.gz')).toMatchObject({ files: 1, bytes: 8 * MiB })
  })

  it('stop a member that claims less than it has', async () => {
    const archive = zipOf([{ name: 'a', content: 'x', body: deflateRawSync(Buffer.alloc(64 * MiB)) }])
    const store = bottomless()
    expect((await failureOf(archive, 'zip', { store })).message).toContain('does not agree')
    expect(store.bytes).toBe(0)
  })
})

describe('memory', () => {
  it('stays the same for a member of 1 GiB in a gzip', async () => {
    const GiB = 2 ** 30
    const block = Buffer.alloc(MiB)
    const header = tarMember({ name: 'zeros', size: GiB }).subarray(0, 512)
    const tar = Readable.from(
      (async function* () {
        yield header
        for (let i = 0; i < 1024; i++) yield block
        yield TAR_END
      })(),
    )
    const gzip = createGzip({ level: 1 })
    const peak = { rss: 0 }
    const before = process.memoryUsage.rss()
    const store = bottomless()
    async function* watched(): AsyncGenerator<Uint8Array> {
      for await (const chunk of tar.compose(gzip)) {
        peak.rss = Math.max(peak.rss, process.memoryUsage.rss())
        yield chunk as Uint8Array
      }
    }
    const limits = { ...ROOMY.limits, maxRatio: 1100 }
    expect(await unpackFrom(watched(), 'tar.gz', { store, limits })).toMatchObject({ files: 1, bytes: GiB })
    expect(store.bytes).toBe(GiB)
    expect(peak.rss - before).toBeLessThan(100 * MiB)
  }, 120_000)

  it('does not grow with a slow store: the source waits for it', async () => {
    const store = new WatchedStore()
    let release: () => void = () => undefined
    const gate = new Promise<void>(resolve => (release = resolve))
    store.before = step => (step === 'write' ? gate : undefined)
    let given = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      const archive = tarOf({ name: 'large', content: Buffer.alloc(8 * MiB) })
      for await (const chunk of inChunks(archive)) {
        given += chunk.length
        yield chunk
      }
    }
    const unpacking = unpackFrom(source(), 'tar', { store })
    for (let i = 0; i < 200; i++) await turn()
    expect(given).toBeLessThan(MiB)
    release()
    expect(await unpacking).toMatchObject({ bytes: 8 * MiB })
  })
})

describe('members too large for the fields of old', () => {
  const GiB = 2 ** 30
  it.each([
    ['zip', 4 * GiB + 1],
    ['tar', 8 * GiB + 1],
  ] as const)(
    'are unpacked from a %s of our own: %d bytes',
    async (format, size) => {
      const source = new SyntheticStore().synthetic('big', size, zeros).file('z', 'after')
      source.chunkBytes = MiB
      const archive = await openArchive(source, format)
      const store = bottomless()
      const chunks = archive.read(0, archive.size!, { buffers: rotatingBuffers(MiB) })
      const unpacked = await unpackFrom(chunks, format, { store })
      await archive.close()
      expect(unpacked).toMatchObject({ files: 2, bytes: size + 5 })
    },
    300_000,
  )
})

describe('small members', () => {
  it.each([
    [{ latency: 'network' } as const, 16],
    [{ latency: 'disk' } as const, 4],
    [{ latency: 'network', concurrency: 8 } as const, 2],
    [{ latency: 'network', concurrency: 1 } as const, 1],
  ])('are written side by side, as the store is: %j', async (capabilities, most) => {
    const store = new WatchedStore(capabilities)
    store.before = () => turn()
    expect(await unpackFrom(inChunks(tarOf(...named(50))), 'tar', { store })).toMatchObject({
      files: 50,
      bytes: 50,
    })
    expect(store.maxPending).toBe(most)
    expect(store.pending).toBe(0)
    expect(store.sizes).toEqual(Array.from({ length: 50 }, () => 1))
  })

  it('end the unpacking when one of them fails, wherever the others are', async () => {
    const store = new WatchedStore({ latency: 'network' })
    store.before = async (step, path) => {
      await turn()
      if (step === 'complete' && path === 'm20') throw storeError('NoSpace', 'write', path)
    }
    const failure = await failureOf(tarOf(...named(500)), 'tar', { store })
    expect(failure.kind).toBe('NoSpace')
    expect(failure.message).toMatch(
      /^The member 'm20' of the archive cannot be written\. The outputs store has no space/,
    )
    expect(failure.written.files).toBe(store.completed.length)
    expect(failure.written.files).toBeLessThan(60)
    expect(Object.keys(await contentsOf(store)).sort()).toEqual([...failure.written.paths].sort())
    expect(store.pending).toBe(0)
  })

  it('never overtake one another where they have one name', async () => {
    const store = new WatchedStore({ latency: 'network' })
    let waits = 40
    store.before = async () => {
      for (let i = waits--; i > 0; i--) await turn()
    }
    const large = { name: 'a', content: 'L'.repeat(300_000) }
    const members = [
      { name: 'a', content: '1' },
      { name: 'a', content: '2' },
      large,
      { name: 'a', content: '3' },
    ]
    await unpackFrom(inChunks(tarOf(...members)), 'tar', { store })
    expect(await contentsOf(store)).toEqual({ a: '3' })
    expect(store.completed).toHaveLength(4)
  })
})

describe('a failure', () => {
  const large = { name: 'large', content: Buffer.alloc(MiB) }
  const broken = tarOf(...named(150), { name: '../evil', content: 'x' })

  it('tells what was written: how many, and the first of them', async () => {
    const failure = await failureOf(broken, 'tar', { folder: 'run/data' })
    expect(failure).toBeInstanceOf(AppError)
    expect(failure.written).toMatchObject({ files: 150, bytes: 150 })
    expect(failure.written.paths).toHaveLength(100)
    expect(failure.written.paths[0]).toBe('run/data/m0')
    expect(failure.removal).toBeUndefined()
  })

  it('removes what was written where that was asked for, and only that', async () => {
    const store = new WatchedStore()
    store.write(parsePath('run/data/other'), Buffer.from('stays'))
    const failure = await failureOf(broken, 'tar', { store, folder: 'run/data', onFailure: 'remove' })
    expect(failure.removal).toEqual({ removed: 150, failures: [] })
    expect(await contentsOf(store)).toEqual({ 'run/data/other': 'stays' })
  })

  it('leaves alone what somebody else has written since, and reports what it could not remove', async () => {
    const store = new WatchedStore()
    store.before = (step, path) => {
      if (step === 'remove' && path === 'm7') throw storeError('PermissionDenied', 'remove', path)
      if (step === 'remove' && path === 'm1') store.write(path, Buffer.from('theirs'))
      if (step === 'remove' && path === 'm2') store.forget(path)
      if (step === 'remove' && path === 'm3') throw new TypeError('A fault of the store.')
    }
    const failure = await failureOf(broken, 'tar', { store, onFailure: 'remove' })
    expect(failure.removal).toMatchObject({ removed: 146 })
    expect(failure.removal?.failures.map(each => [each.path, each.error.kind])).toEqual([
      ['m3', 'Internal'],
      ['m7', 'PermissionDenied'],
    ])
    expect(await contentsOf(store)).toEqual({ m1: 'theirs', m3: 'x', m7: 'x' })
  })

  it.each(['create', 'write', 'complete'])('of the store at %s leaves nothing of that member', async at => {
    for (const member of [large, { name: 'large', content: 'small' }]) {
      const store = new WatchedStore()
      store.before = (step, path) => {
        if (step === at && path === 'large') throw storeError('Unavailable', 'write', path)
      }
      const failure = await failureOf(tarOf(...named(3), member, ...named(3)), 'tar', { store })
      expect(failure).toMatchObject({ kind: 'Unavailable', temporary: true })
      expect(failure.message).toContain("The member 'large' of the archive cannot be written.")
      expect(await contentsOf(store)).not.toHaveProperty('large')
      expect(store.pending).toBe(0)
    }
  })

  it('that nobody foresaw is told as such', async () => {
    const store = new WatchedStore()
    store.before = () => {
      throw new TypeError('A fault of the store at /secret/place.')
    }
    const failure = await failureOf(tarOf(...named(3)), 'tar', { store })
    expect(failure.kind).toBe('Internal')
    expect(failure.message).not.toContain('secret')
  })
})

describe('the source', () => {
  const members = [...named(3), { name: 'large', content: Buffer.alloc(MiB) }, { name: 'z', content: 'z' }]
  const archives = {
    tar: tarOf(...members),
    'tar.gz': gzipSync(tarOf(...members), { level: 0 }),
    zip: zipOf(
      members.map(({ name, content }) => ({ name, content: content ?? '', sizes: 'signed' as const })),
    ),
  }
  const formats = Object.entries(archives) as [UnpackFormat, Buffer][]

  it.each(formats)('may fail at any place of a %s', async (format, archive) => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(archive.length),
        fc.integer({ min: 999, max: 99_999 }),
        async (length, size) => {
          async function* failing(): AsyncGenerator<Uint8Array> {
            yield* inChunks(archive.subarray(0, length), [size])
            throw new Error('ECONNRESET at 10.0.0.1')
          }
          const store = new WatchedStore()
          const failure = await failureOf(failing(), format, { store, onFailure: 'remove' })
          expect(failure.kind).toBe('Aborted')
          expect(failure.message).not.toContain('10.0.0.1')
          expect(await contentsOf(store)).toEqual({})
          expect(store.pending).toBe(0)
        },
      ),
      { numRuns: 25 },
    )
  })

  it.each(formats)(
    'may keep a %s waiting for ever: the signal ends it at once, and no listener stays',
    async (format, archive) => {
      for (const length of [0, 100, 600_000]) {
        const controller = new AbortController()
        const store = new WatchedStore()
        let asked = 0
        const source = {
          [Symbol.asyncIterator]: () => ({
            next: () =>
              asked++ === 0 && length > 0
                ? Promise.resolve({ done: false as const, value: archive.subarray(0, length) })
                : new Promise<never>(() => undefined),
          }),
        }
        const failing = failureOf(source, format, { store, signal: controller.signal, onFailure: 'remove' })
        for (let i = 0; i < 50; i++) await turn()
        controller.abort(new Error('The client has gone.'))
        expect((await failing).kind).toBe('Aborted')
        expect(store.pending).toBe(0)
        expect(await contentsOf(store)).toEqual({})
        expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
      }
    },
  )

  it.each(formats)(
    'is told to stop when a %s fails, and leaves no listener when it does not',
    async (format, archive) => {
      const { signal } = new AbortController()
      let stopped = 0
      async function* endless(bytes: Buffer): AsyncGenerator<Uint8Array> {
        try {
          yield* inChunks(bytes)
          for (;;) yield Buffer.from('garbage')
        } finally {
          stopped++
        }
      }
      const failure = await failureOf(endless(archive), format, { signal })
      expect(failure.message).toContain('damaged')
      expect(stopped).toBe(1)
      const tight = { maxEntries: 1, maxBytes: 10, maxRatio: 10 }
      await failureOf(endless(archive), format, { signal, limits: tight })
      expect(stopped).toBe(2)
      expect(await unpackFrom(inChunks(archive), format, { signal })).toMatchObject({ files: 5 })
      expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    },
  )

  it.each(formats)('may be aborted before it began: %s', async (format, archive) => {
    const failure = await failureOf(inChunks(archive), format, { signal: AbortSignal.abort() })
    expect(failure).toMatchObject({ kind: 'Aborted', written: { files: 0 } })
  })

  it.each(formats)('is never taken for whole when a %s is cut', async (format, archive) => {
    const whole = format === 'tar' ? archive.length - TAR_END.length + 511 : archive.length - 1
    await fc.assert(
      fc.asyncProperty(fc.nat(whole), async length => {
        const store = new WatchedStore()
        const failure = await failureOf(archive.subarray(0, length), format, { store })
        expect(failure.message).toContain('The archive is truncated')
        const contents = await contentsOf(store)
        expect(Object.keys(contents)).toHaveLength(failure.written.files)
        for (const [path, content] of Object.entries(contents))
          expect(content.length).toBe(members.find(({ name }) => name === path)!.content!.length)
      }),
      { numRuns: 40 },
    )
  })

  it('gives the same files in chunks of any sizes', async () => {
    for (const [format, archive] of formats)
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 5 }),
          async sizes => {
            // What begins with chunks of a byte goes on with large ones.
            const chunks = inChunks(archive, [...sizes, 70_000])
            expect(await unpackFrom(chunks, format)).toMatchObject({ files: 5, bytes: MiB + 4 })
          },
        ),
        { numRuns: 20 },
      )
  })
})

it('is an error with a cause, which names no place', async () => {
  const failure = await failureOf(Buffer.from('x'), 'zip')
  expect(failure).toBeInstanceOf(UnpackError)
  expect(failure).toMatchObject({ name: 'AppError', op: 'unpack', temporary: false })
})
