// What goes wrong in the middle must break the transfer, and whatever ends it must leave nothing open.
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ArchiveFormat, ArchiveRequest } from '../../src/content/archive.ts'
import { AppError, isAppError } from '../../src/errors.ts'
import { collect, newArchives, openArchive } from './archives.ts'
import { noise, pattern, SyntheticStore } from './synthetic-store.ts'

const KINDS: readonly (readonly [string, ArchiveFormat, Partial<ArchiveRequest>])[] = [
  ['zip', 'zip', {}],
  ['tar', 'tar', {}],
  ['deflated zip', 'zip', { compress: true }],
  ['tar.gz', 'tar.gz', {}],
  ['tar.zst', 'tar.zst', {}],
]

function tree(): SyntheticStore {
  const store = new SyntheticStore()
  for (let i = 0; i < 40; i++) store.synthetic(`small/${i}`, 30_000, pattern(i))
  return store.synthetic('large', 3_000_000, pattern(7)).synthetic('zz', 1000, pattern(8))
}

const endOf = (archive: { size: number | undefined }): number => archive.size ?? Number.POSITIVE_INFINITY

/** Closing may come after the failure is seen, but it comes. */
async function expectAllClosed(store: SyntheticStore): Promise<void> {
  await expect.poll(() => store.opened - store.closed, { interval: 5 }).toBe(0)
}

describe.each(KINDS)('a %s', (_kind, format, options) => {
  it.each(['small/20', 'large'])('fails with Changed when %s is rewritten while it is read', async member => {
    const store = tree()
    const archive = await openArchive(store, format, options)
    let seen = 0
    store.onRead = path => {
      if (path === member && ++seen === 1) store.synthetic(member, 30_000, pattern(99))
    }
    await expect(collect(archive.read(0, endOf(archive)))).rejects.toSatisfy(error =>
      isAppError(error, 'Changed'),
    )
    await expectAllClosed(store)
  })

  it.each(['small/39', 'large', 'zz'])(
    'fails with Changed when %s is gone when its turn comes',
    async member => {
      const store = tree()
      const archive = await openArchive(store, format, options)
      store.delete(member)
      await expect(collect(archive.read(0, endOf(archive)))).rejects.toSatisfy(error =>
        isAppError(error, 'Changed'),
      )
      await expectAllClosed(store)
    },
  )

  it.each([-1, 1])('fails with Changed when the store gives %i byte more than it said', async more => {
    for (const member of ['small/3', 'large']) {
      const store = tree()
      const archive = await openArchive(store, format, options)
      const open = store.open.bind(store)
      store.open = async (path, openOptions) => {
        const artifact = await open(path, openOptions)
        if (path !== member) return artifact
        return {
          ...artifact,
          // One byte off, by reading another part of the same content.
          read: (start, end, readOptions) => artifact.read(start, end + more, readOptions),
        }
      }
      await expect(collect(archive.read(0, endOf(archive)))).rejects.toSatisfy(error =>
        isAppError(error, 'Changed'),
      )
      await expectAllClosed(store)
    }
  })

  it('fails as the store does when it goes away in the middle', async () => {
    const store = tree()
    const archive = await openArchive(store, format, options)
    store.onRead = (path, position) => {
      if (path === 'large' && position > 1_000_000)
        throw new AppError('Unavailable', 'The store does not answer.')
    }
    await expect(collect(archive.read(0, endOf(archive)))).rejects.toSatisfy(error =>
      isAppError(error, 'Unavailable'),
    )
    await expectAllClosed(store)
  })

  it.each(['large', 'small/20'])(
    'ends with Aborted, and leaves nothing open, when it is aborted in %s',
    async member => {
      const store = tree()
      const archive = await openArchive(store, format, options)
      const controller = new AbortController()
      store.onRead = async (path, _position, signal) => {
        if (path === member) controller.abort()
        if (path === member)
          await new Promise(resolve =>
            signal!.aborted ? resolve(0) : signal!.addEventListener('abort', resolve),
          )
      }
      const reading = collect(archive.read(0, endOf(archive), { signal: controller.signal }))
      await expect(reading).rejects.toSatisfy(error => isAppError(error, 'Aborted'))
      await expectAllClosed(store)
    },
  )

  it('leaves nothing open when the consumer stops after its first chunk', async () => {
    const store = tree()
    const archive = await openArchive(store, format, options)
    for await (const chunk of archive.read(0, endOf(archive))) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await expectAllClosed(store)
  })

  it('leaves nothing open when it is closed while its consumer is slow to ask again', async () => {
    const store = tree()
    store.chunkBytes = 10_000
    const archive = await openArchive(store, format, options)
    const reading = archive.read(0, endOf(archive))[Symbol.asyncIterator]()
    for (let i = 0; i < 3; i++) await reading.next()
    await archive.close()
    // The generator is not asked again: nobody else would close what it holds.
    await expectAllClosed(store)
  })

  it('reads no further than a slow consumer needs', async () => {
    const store = new SyntheticStore()
    for (let i = 0; i < 400; i++) store.synthetic(`small/${i}`, 250_000, noise)
    const archive = await openArchive(store, format, options)
    const reading = archive.read(0, endOf(archive))[Symbol.asyncIterator]()
    onTestFinished(() => archive.close())
    await reading.next()
    const { bytesRead } = store
    await delay(200)
    // 4 MiB ahead, and what a compressor has under way.
    expect(store.bytesRead - bytesRead).toBeLessThan(6_000_000)
    await reading.return?.()
    await expectAllClosed(store)
  })
})

describe('many archives together', () => {
  it('load no more than sixteen small members at a time', async () => {
    const store = new SyntheticStore()
    for (let i = 0; i < 100; i++) store.synthetic(`small/${i}`, 1000, pattern(i))
    store.onRead = () => delay(1)
    const archives = newArchives({ maxInProgress: 10 })
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const archive = await openArchive(store, 'tar', { archives })
        await collect(archive.read(0, archive.size!))
      }),
    )
    expect(store.maxOpen).toBe(16)
  })

  it('that go away while they wait for their turn do not keep it', async () => {
    const store = new SyntheticStore()
    for (let i = 0; i < 100; i++) store.synthetic(`small/${i}`, 1000, pattern(i))
    store.onRead = () => delay(2)
    const archives = newArchives({ maxInProgress: 10 })
    const opened = await Promise.all(
      Array.from({ length: 10 }, () => openArchive(store, 'zip', { archives })),
    )
    const reading = opened.map(archive => collect(archive.read(0, archive.size!)))
    await delay(5)
    await Promise.all(opened.slice(1).map(archive => archive.close()))
    const results = await Promise.allSettled(reading)
    expect(results.map(result => result.status)).toEqual(['fulfilled', ...Array<string>(9).fill('rejected')])
    await expectAllClosed(store)
  })
})
