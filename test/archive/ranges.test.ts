// The heart of resumable archives: any range, asked of fresh objects, is the slice of the whole.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { collect, collectLate, newArchives, openArchive, readAll } from './archives.ts'
import { pattern, SyntheticStore } from './synthetic-store.ts'

const LARGE = 1_000_003

/** Members on both sides of every border of the formats: small and large, one block and several, empty, long names. */
function tree(): SyntheticStore {
  const store = new SyntheticStore()
    .file('a.txt', 'hello')
    .file('empty.txt', '')
    .folder('empty/folder')
    .synthetic('limit.bin', 262_144, pattern(1))
    .synthetic('limit+1.bin', 262_145, pattern(2))
    .synthetic('blocks.bin', 65_535 * 6, pattern(3))
    .synthetic('large.bin', LARGE, pattern(4))
    .file(`${'d'.repeat(60)}/${'n'.repeat(60)}`, 'long name')
    .file('ü/日本.txt', 'ünï')
  for (let i = 0; i < 150; i++) store.file(`many/${i}.txt`, `${i}`.repeat(i))
  return store
}

/** Random ranges, and more often such as begin and end near each other or at the ends, where headers and the directory are. */
function ranges(size: number): fc.Arbitrary<readonly [number, number]> {
  const point = fc.oneof(fc.nat(size), fc.nat(2000), fc.integer({ min: size - 20_000, max: size }))
  const near = fc
    .tuple(point, fc.nat(40))
    .map(([a, length]): [number, number] => [a, Math.min(a + length, size)])
  const far = fc.tuple(point, point).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)])
  return fc.oneof(near, far)
}

describe.each(['zip', 'tar'] as const)('a range of a %s', format => {
  it('is the slice of the whole, with fresh objects and nothing remembered', async () => {
    const store = tree()
    const whole = await readAll(await openArchive(store, format))
    await fc.assert(
      fc.asyncProperty(ranges(whole.length), async ([start, end]) => {
        const archive = await openArchive(store, format)
        expect(archive.size).toBe(whole.length)
        expect((await collect(archive.read(start, end))).equals(whole.subarray(start, end))).toBe(true)
        await archive.close()
      }),
      { numRuns: 120 },
    )
    expect(store.opened).toBe(store.closed)
  })

  it('is the slice of the whole when checksums are remembered from other ranges, in the buffers of a transfer', async () => {
    const store = tree()
    const whole = await readAll(await openArchive(store, format))
    const archives = newArchives()
    await fc.assert(
      fc.asyncProperty(
        ranges(whole.length),
        fc.integer({ min: 1000, max: 300_000 }),
        async ([start, end], bytes) => {
          const archive = await openArchive(store, format, { archives })
          expect((await collectLate(archive, start, end, bytes)).equals(whole.subarray(start, end))).toBe(
            true,
          )
          await archive.close()
        },
      ),
      { numRuns: 120 },
    )
  })

  it('is right in buffers of a single byte', async () => {
    const store = tree()
    const archive = await openArchive(store, format)
    const end = archive.size!
    const tail = await collect(archive.read(end - 3000, end))
    expect((await collectLate(archive, end - 3000, end, 1)).equals(tail)).toBe(true)
  })

  it('is right while another of the same representation is read', async () => {
    const archive = await openArchive(tree(), format)
    const [a, b] = await Promise.all([
      collect(archive.read(0, archive.size!)),
      collect(archive.read(0, archive.size!)),
    ])
    expect(a.equals(b)).toBe(true)
  })
})

describe('what a range of a zip reads', () => {
  it('is the members in it, and for the directory those whose checksums it needs', async () => {
    const store = tree()
    const archive = await openArchive(store, 'zip')
    await collect(archive.read(archive.size! - 5000, archive.size!))
    // The directory's last group of 64 and the one before it, none of which is large.
    expect(store.opened).toBeLessThanOrEqual(128)
    expect(store.bytesRead).toBeLessThan(LARGE)
  })

  it('is nothing again after a whole pass of the same process', async () => {
    const store = tree()
    const archives = newArchives()
    await readAll(await openArchive(store, 'zip', { archives }))
    const { opened } = store
    const archive = await openArchive(store, 'zip', { archives })
    await collect(archive.read(archive.size! - 10_000, archive.size!))
    expect(store.opened).toBe(opened)
  })

  it('is only what follows the cut, when a download is resumed inside a large member', async () => {
    const store = new SyntheticStore().synthetic('large.bin', 10_000_000, pattern(1))
    const whole = await readAll(await openArchive(store, 'zip'))
    const archives = newArchives()
    const first = await openArchive(store, 'zip', { archives })
    let received = 0
    for await (const chunk of first.read(0, first.size!)) {
      received += chunk.length
      if (received > 4_000_000) break
    }
    await first.close()
    store.bytesRead = 0
    const second = await openArchive(store, 'zip', { archives })
    const rest = await collect(second.read(received, second.size!))
    expect(rest.equals(whole.subarray(received))).toBe(true)
    expect(store.bytesRead).toBeLessThan(10_000_000 - received + 1_000_000)
  })

  it('is read once for all who need the same checksum', async () => {
    const store = new SyntheticStore().synthetic('large.bin', 3_000_000, pattern(1))
    const archives = newArchives()
    const tails = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const archive = await openArchive(store, 'zip', { archives })
        return collect(archive.read(archive.size! - 100, archive.size!))
      }),
    )
    expect(store.opened).toBe(1)
    expect(tails[0]!.equals(tails[1]!) && tails[0]!.equals(tails[2]!)).toBe(true)
  })

  it('goes on for the others when one of them goes away', async () => {
    const store = new SyntheticStore().synthetic('large.bin', 3_000_000, pattern(1))
    const archives = newArchives()
    const [leaver, stayer] = await Promise.all([0, 1].map(() => openArchive(store, 'zip', { archives })))
    store.onRead = async (_path, position) => {
      if (position > 1_000_000) await leaver!.close()
    }
    const end = stayer!.size!
    const [left, stayed] = await Promise.allSettled([
      collect(leaver!.read(end - 100, end)),
      collect(stayer!.read(end - 100, end)),
    ])
    expect(left.status).toBe('rejected')
    expect(stayed.status).toBe('fulfilled')
    expect(store.opened).toBe(1)
  })
})
