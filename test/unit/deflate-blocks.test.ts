import { inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { deflated } from '../../src/content/deflate-blocks.ts'
import { SlabPool } from '../../src/content/rope-buffers.ts'
import { Gather } from '../../src/content/rope-gather.ts'
import { AheadBudget } from '../../src/content/rope-lookahead.ts'
import { collect } from '../archive/archives.ts'
import { noise, pattern, zeros } from '../archive/synthetic-store.ts'

const BLOCK = 512 * 1024
const MEMORY = { ahead: { pieces: 16, budget: new AheadBudget(2 ** 24) }, slabs: new SlabPool(2 ** 24) }

/** Numbers out of a small set: every byte occurs, and still it shrinks. */
function numbers(target: Uint8Array): void {
  const set = Buffer.alloc(4 * 500)
  noise(set, 1)
  for (let at = 0; at + 4 <= target.length; at += 4) {
    const index = Math.imul(at, 0x9e3779b1) >>> 0
    target.set(set.subarray((index % 500) * 4, (index % 500) * 4 + 4), at)
  }
}

function text(target: Uint8Array): void {
  let line = ''
  for (let at = 0, step = 0; at < target.length; at += line.length, step++) {
    line = `{"step":${step},"loss":${Math.imul(step, 0x2c1b3c6d) >>> 0}}\n`
    target.set(Buffer.from(line).subarray(0, target.length - at), at)
  }
}

const FILLS = { noise, zeros, pattern: pattern(3), numbers, text }
type Fill = keyof typeof FILLS

function filled(...parts: readonly (readonly [Fill, number])[]): Buffer {
  return Buffer.concat(
    parts.map(([fill, size]) => {
      const content = Buffer.alloc(size)
      FILLS[fill](content, 0)
      return content
    }),
  )
}

/** Gives the content through one buffer that is overwritten as soon as the next chunk is asked for. */
async function* cut(
  content: Buffer,
  sizes: readonly number[],
  onChunk: (position: number) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(Math.max(...sizes))
  for (let position = 0, turn = 0; position < content.length; turn++) {
    await Promise.resolve()
    onChunk(position)
    const size = Math.min(sizes[turn % sizes.length]!, content.length - position)
    content.copy(memory, 0, position, position + size)
    position += size
    yield memory.subarray(0, size)
    memory.fill(0xaa)
  }
}

async function* stream(
  read: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  signal = new AbortController().signal,
): AsyncGenerator<Uint8Array> {
  const out = new Gather(Number.POSITIVE_INFINITY, undefined)
  yield* deflated(read, MEMORY, out, signal)
  yield* out.flush()
}

const deflate = (content: Buffer, sizes = [100_000]): Promise<Buffer> =>
  collect(stream(() => cut(content, sizes)))

describe('a deflate stream made in blocks', () => {
  it.each([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 77])(
    'of %i bytes holds them, whether they shrink or not',
    async size => {
      for (const fill of ['noise', 'text'] as const) {
        const content = filled([fill, size])
        expect(inflateRawSync(await deflate(content)).equals(content), fill).toBe(true)
      }
    },
  )

  it('holds any mixture, and is the same however the content is cut', async () => {
    const part = fc.tuple(
      fc.constantFrom<Fill>('noise', 'zeros', 'pattern', 'numbers', 'text'),
      fc.integer({ min: 0, max: 3 * BLOCK }),
    )
    const sizes = fc.array(fc.integer({ min: 500, max: 2 * BLOCK }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), sizes, sizes, async (parts, some, others) => {
        const content = filled(...parts)
        const one = await deflate(content, some)
        expect(inflateRawSync(one).equals(content)).toBe(true)
        expect((await deflate(content, others)).equals(one)).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  it('stores what does not shrink', async () => {
    const stream = await deflate(filled(['noise', 3 * BLOCK]))
    expect(stream.subarray(0, 5).toString('hex')).toBe('00ffff0000')
    expect(stream.length).toBeLessThan(3 * BLOCK + 150)
  })

  it.each([
    ['text', 0.4],
    ['numbers', 0.6],
    ['zeros', 0.01],
  ] as const)('deflates %s to less than %d of it', async (fill, share) => {
    const content = filled([fill, 3 * BLOCK])
    expect((await deflate(content)).length).toBeLessThan(share * content.length)
  })

  it('deflates text between members that do not shrink', async () => {
    const members = Array.from({ length: 20 }, () => [['noise', 150_000] as const, ['text', 60_000] as const])
    const content = filled(...members.flat())
    expect((await deflate(content)).length).toBeLessThan(20 * (150_000 + 0.45 * 60_000))
  })

  it.each([0, 2 * BLOCK, 2 * BLOCK + 5])(
    'gives what came before a failure after %i bytes, and then the failure',
    async size => {
      const failure = new Error('The disk is gone.')
      const content = filled(['noise', size])
      const given: Buffer[] = []
      const reading = async (): Promise<void> => {
        const read = async function* (): AsyncGenerator<Uint8Array> {
          yield* cut(content, [BLOCK])
          throw failure
        }
        for await (const chunk of stream(read)) given.push(Buffer.from(chunk))
      }
      await expect(reading()).rejects.toBe(failure)
      // A stream that does not end: nobody takes it for a whole one.
      expect(() => inflateRawSync(Buffer.concat(given))).toThrow('unexpected end of file')
    },
  )

  it('fails with Aborted while its source hangs, and the source is over', async () => {
    const controller = new AbortController()
    let ended = false
    const read = async function* (signal: AbortSignal): AsyncGenerator<Uint8Array> {
      try {
        yield filled(['text', 4 * BLOCK])
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new Error('The read was cut.'))),
        )
      } finally {
        ended = true
      }
    }
    const chunks = stream(read, controller.signal)
    await chunks.next()
    const reading = collect(chunks)
    setTimeout(() => controller.abort(), 20)
    await expect(reading).rejects.toThrow('not wanted any more')
    expect(ended).toBe(true)
  })

  it('tells its source to stop when its consumer returns, and waits until it has', async () => {
    let signal: AbortSignal | undefined
    let ended = false
    const read = async function* (reading: AbortSignal): AsyncGenerator<Uint8Array> {
      signal = reading
      try {
        for (;;) yield filled(['noise', BLOCK])
      } finally {
        await new Promise(resolve => setTimeout(resolve, 20))
        ended = true
      }
    }
    for await (const chunk of stream(read)) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect([signal?.aborted, ended]).toEqual([true, true])
  })

  it('reads five blocks ahead of a consumer that does not ask, no more', async () => {
    let read = 0
    const content = filled(['noise', 30 * BLOCK])
    const onChunk = (position: number): void => {
      read = position
    }
    const chunks = stream(() => cut(content, [BLOCK / 4], onChunk))
    onTestFinished(async () => {
      await chunks.return(undefined)
    })
    await chunks.next()
    const first = read
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(read).toBeLessThanOrEqual(6 * BLOCK)
    expect(read).toBeGreaterThanOrEqual(first)
  })
})
