// Cases of `open` and `read`: exactly the bytes that were asked for, or a failure.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Buffers, Capabilities, OpenArtifact } from '../../src/store/store.ts'
import { eachCase } from './each-case.ts'
import { at, bytes, pattern, readAll, withOpen, type MakeHarness } from './harness.ts'

const SIZE = 700_001

/** Two buffers in rotation, and how often each was taken. */
function rotating(size: number): Buffers & { readonly taken: Buffer[] } {
  const memory = [Buffer.alloc(size), Buffer.alloc(size)]
  const taken: Buffer[] = []
  return {
    taken,
    take() {
      const buffer = memory[taken.length % 2]!
      taken.push(buffer)
      return buffer
    },
  }
}

/** Reads the first chunk of the whole artifact, lets `meanwhile` happen, and reads the rest. */
async function readAround(artifact: OpenArtifact, meanwhile: () => Promise<void> | void): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of artifact.read(0, artifact.entry.size)) {
    chunks.push(Buffer.from(chunk))
    if (chunks.length === 1) await meanwhile()
  }
  return Buffer.concat(chunks)
}

export function readCases({ changesInPlace }: Capabilities, make: MakeHarness): void {
  describe('open', () => {
    const harness = eachCase(make)

    it.each([
      ['missing', 'NotFound'],
      ['a/file/below', 'NotFound'],
      ['a', 'IsDirectory'],
      ['', 'IsDirectory'],
    ])('fails for %j with %s', async (path, kind) => {
      await harness().write('a/file', bytes('f'))
      await expect(harness().store.open(at(path))).rejects.toMatchObject({ kind })
    })

    it('opens what the pin says', async () => {
      await harness().write('a', bytes('abc'))
      const pin = await harness().store.stat(at('a'))
      await withOpen(
        harness().store,
        'a',
        async artifact => {
          expect(artifact.entry).toEqual(pin)
          expect((await readAll(artifact)).toString()).toBe('abc')
        },
        pin,
      )
    })

    it.each([
      ['rewritten with the same size', 'xyz'],
      ['longer', 'abcd'],
      ['shorter', 'ab'],
    ])('fails with Changed when the pinned file is %s by now', async (_, content) => {
      await harness().write('a', bytes('abc'))
      const pin = await harness().store.stat(at('a'))
      await harness().write('a', bytes(content))
      const pinned = withOpen(harness().store, 'a', artifact => readAll(artifact), pin)
      await expect(pinned).rejects.toMatchObject({ kind: 'Changed', path: 'a' })
    })

    it('fails when the pinned file is gone: with NotFound by asking, with Changed by reading', async () => {
      await harness().write('a', bytes('abc'))
      const pin = await harness().store.stat(at('a'))
      await harness().remove('a')
      const pinned = withOpen(harness().store, 'a', artifact => readAll(artifact), pin)
      await expect(pinned).rejects.toMatchObject({ kind: expect.stringMatching(/^(NotFound|Changed)$/) })
    })

    it('fails with Aborted when the signal is aborted already', async () => {
      await harness().write('a', bytes('a'))
      await expect(harness().store.open(at('a'), { signal: AbortSignal.abort() })).rejects.toMatchObject({
        kind: 'Aborted',
      })
    })
  })

  describe('read', () => {
    const harness = eachCase(make)
    const content = pattern(SIZE)

    it('gives random ranges as slices of the whole, with and without buffers', async () => {
      await harness().write('data', content)
      await withOpen(harness().store, 'data', async artifact => {
        const bound = fc.integer({ min: 0, max: SIZE })
        await fc.assert(
          fc.asyncProperty(
            bound,
            bound,
            fc.option(fc.integer({ min: 1, max: 1 << 19 })),
            async (a, b, size) => {
              const [start, end] = [Math.min(a, b), Math.max(a, b)]
              const buffers = size === null ? undefined : rotating(Math.max(size, 1000))
              const read = await readAll(artifact, start, end, buffers === undefined ? {} : { buffers })
              expect(read.equals(content.subarray(start, end))).toBe(true)
            },
          ),
          { numRuns: 60 },
        )
      })
    })

    it.each([
      [0, 0],
      [0, 1],
      [SIZE - 1, SIZE],
      [SIZE, SIZE],
      [0, SIZE],
      [262_143, 262_145],
    ])('gives the bytes [%i, %i)', async (start, end) => {
      await harness().write('data', content)
      const read = await withOpen(harness().store, 'data', artifact => readAll(artifact, start, end))
      expect(read.equals(content.subarray(start, end))).toBe(true)
    })

    it('reads an empty file', async () => {
      await harness().write('empty', bytes(''))
      expect(await withOpen(harness().store, 'empty', artifact => readAll(artifact))).toHaveLength(0)
    })

    it.each([
      [-1, 3],
      [2, 1],
      [0, SIZE + 1],
      [0.5, 1],
      [Number.NaN, 1],
    ])('refuses the range [%d, %d)', async (start, end) => {
      await harness().write('data', content)
      const read = withOpen(harness().store, 'data', artifact => readAll(artifact, start, end))
      await expect(read).rejects.toMatchObject({ kind: 'RangeNotSatisfiable' })
    })

    it('takes one buffer for each chunk and fills it from its beginning', async () => {
      await harness().write('data', content)
      const buffers = rotating(65_536)
      await withOpen(harness().store, 'data', async artifact => {
        let chunks = 0
        for await (const chunk of artifact.read(10, SIZE, { buffers })) {
          chunks++
          expect(buffers.taken).toHaveLength(chunks)
          expect(chunk.buffer).toBe(buffers.taken.at(-1)!.buffer)
          expect(chunk.byteOffset).toBe(buffers.taken.at(-1)!.byteOffset)
        }
        expect(chunks).toBe(Math.ceil((SIZE - 10) / 65_536))
      })
    })

    it('reads one artifact several times side by side', async () => {
      await harness().write('data', content)
      await withOpen(harness().store, 'data', async artifact => {
        const starts = Array.from({ length: 12 }, (_, i) => i * 50_000)
        const reads = await Promise.all(starts.map(start => readAll(artifact, start, SIZE)))
        for (const [i, read] of reads.entries()) expect(read.equals(content.subarray(starts[i]))).toBe(true)
      })
    })

    it.runIf(changesInPlace)(
      'fails with Changed when the file shrinks meanwhile, pinned or not',
      async () => {
        for (const pinned of [false, true]) {
          await harness().write('data', content)
          const pin = pinned ? await harness().store.stat(at('data')) : undefined
          const read = withOpen(
            harness().store,
            'data',
            artifact => readAround(artifact, () => harness().write('data', content.subarray(0, 300_000))),
            pin,
          )
          await expect(read).rejects.toMatchObject({ kind: 'Changed', path: 'data' })
        }
      },
    )

    it.runIf(changesInPlace)(
      'fails with Changed when the file is rewritten meanwhile, pinned or not',
      async () => {
        for (const pinned of [false, true]) {
          await harness().write('data', content)
          const pin = pinned ? await harness().store.stat(at('data')) : undefined
          const read = withOpen(
            harness().store,
            'data',
            artifact => readAround(artifact, () => harness().write('data', pattern(SIZE, 1))),
            pin,
          )
          await expect(read).rejects.toMatchObject({ kind: 'Changed', path: 'data' })
        }
      },
    )

    it.runIf(changesInPlace)('reads a file that grows as long as it was', async () => {
      await harness().write('log', content)
      const read = await withOpen(harness().store, 'log', artifact =>
        readAround(artifact, () => harness().append!('log', bytes('more'))),
      )
      expect(read.equals(content)).toBe(true)
    })

    it.runIf(changesInPlace)(
      'fails with Changed when the file is written anew with other bytes and longer',
      async () => {
        await harness().write('data', content)
        const read = withOpen(harness().store, 'data', artifact =>
          readAround(artifact, () => harness().write('data', pattern(SIZE + 10, 1))),
        )
        await expect(read).rejects.toMatchObject({ kind: 'Changed' })
      },
    )

    it.runIf(changesInPlace)('fails with Changed when a pinned file grows', async () => {
      await harness().write('log', content)
      const pin = await harness().store.stat(at('log'))
      const read = withOpen(
        harness().store,
        'log',
        artifact => readAround(artifact, () => harness().append!('log', bytes('more'))),
        pin,
      )
      await expect(read).rejects.toMatchObject({ kind: 'Changed' })
    })

    it('gives the old content whole, or Changed, when the file is replaced meanwhile, pinned or not', async () => {
      for (const pinned of [false, true])
        for (const other of [content.subarray(0, 300_000), pattern(SIZE, 1), pattern(SIZE + 10, 1)]) {
          await harness().write('data', content)
          const pin = pinned ? await harness().store.stat(at('data')) : undefined
          const read = await withOpen(
            harness().store,
            'data',
            artifact => readAround(artifact, () => harness().write('data', other)),
            pin,
          ).catch((error: unknown) => error)
          if (Buffer.isBuffer(read)) expect(read.equals(content)).toBe(true)
          else expect(read).toMatchObject({ kind: 'Changed', path: 'data' })
        }
    })

    it('fails with Changed when the file was replaced before it is read, pinned or not', async () => {
      for (const pinned of [false, true]) {
        await harness().write('data', content)
        const pin = pinned ? await harness().store.stat(at('data')) : undefined
        const read = withOpen(
          harness().store,
          'data',
          async artifact => {
            await harness().write('data', pattern(SIZE, 1))
            return readAll(artifact)
          },
          pin,
        )
        await expect(read).rejects.toMatchObject({ kind: 'Changed', path: 'data' })
      }
    })

    it('never mixes two contents when the file is removed and written again', async () => {
      await harness().write('data', content)
      const read = await withOpen(harness().store, 'data', artifact =>
        readAround(artifact, async () => {
          await harness().remove('data')
          await harness().write('data', pattern(SIZE, 1))
        }),
      ).catch((error: unknown) => error)
      if (Buffer.isBuffer(read)) expect(read.equals(content)).toBe(true)
      else expect(read).toMatchObject({ kind: 'Changed' })
    })

    it('fails with Aborted once the signal is aborted, before and between chunks', async () => {
      await harness().write('data', content)
      await withOpen(harness().store, 'data', async artifact => {
        const early = readAll(artifact, 0, SIZE, { signal: AbortSignal.abort() })
        await expect(early).rejects.toMatchObject({ kind: 'Aborted' })
        const controller = new AbortController()
        const buffers = rotating(65_536)
        const read = async (): Promise<void> => {
          for await (const chunk of artifact.read(0, SIZE, { signal: controller.signal, buffers })) {
            expect(chunk.length).toBeGreaterThan(0)
            controller.abort()
          }
        }
        await expect(read()).rejects.toMatchObject({ kind: 'Aborted' })
        expect(buffers.taken.length).toBeLessThanOrEqual(2)
      })
    })

    it('may be left early, and goes on for others', async () => {
      await harness().write('data', content)
      await withOpen(harness().store, 'data', async artifact => {
        for await (const chunk of artifact.read(0, SIZE)) {
          expect(chunk.length).toBeGreaterThan(0)
          break
        }
        expect((await readAll(artifact)).equals(content)).toBe(true)
      })
    })

    it('closes once, also while a read is under way, and never fails to', async () => {
      await harness().write('data', content)
      const artifact = await harness().store.open(at('data'))
      const steps = artifact.read(0, SIZE)[Symbol.asyncIterator]()
      const step = steps.next().catch((error: unknown) => error)
      await Promise.all([artifact.close(), artifact.close()])
      await artifact.close()
      const first = (await step) as IteratorResult<Uint8Array> | Error
      if (first instanceof Error) expect(first).toMatchObject({ kind: 'Aborted' })
      else expect(content.subarray(0, first.value!.length).equals(first.value)).toBe(true)
    })
  })
}
