import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rotatingBuffers } from '../../src/content/rope-buffers.ts'
import { readRope, type Loaded, type Part, type Piece, type Rope } from '../../src/content/rope.ts'
import { AppError, isAppError } from '../../src/errors.ts'

interface Spec {
  readonly kind: 'whole' | 'late' | 'streamed'
  readonly size: number
}

/** The bytes that a rope of these pieces has, and a log of what it loaded. */
class TestRope implements Rope {
  readonly offsets: Float64Array
  readonly bytes: Buffer
  readonly log: string[] = []
  readonly #specs: readonly Spec[]
  running = 0
  beforeLoad: (index: number, signal: AbortSignal) => Promise<void> = () => Promise.resolve()

  constructor(specs: readonly Spec[]) {
    this.#specs = specs
    this.offsets = new Float64Array(specs.length + 1)
    specs.forEach((spec, i) => (this.offsets[i + 1] = this.offsets[i]! + spec.size))
    this.bytes = Buffer.from(
      Array.from({ length: this.offsets.at(-1)! }, (_, i) => (i * 7 + (i >> 8)) & 0xff),
    )
  }

  piece(index: number): Piece {
    const { kind, size } = this.#specs[index]!
    const own = this.bytes.subarray(this.offsets[index], this.offsets[index]! + size)
    if (kind === 'streamed')
      return { size, parts: [this.#part(own.subarray(0, 3)), this.#part(own.subarray(3))] }
    return { size, late: kind === 'late', load: signal => this.#load(index, own, signal) }
  }

  async #load(index: number, own: Buffer, signal: AbortSignal): Promise<Loaded> {
    this.running++
    this.log.push(`start ${index}`)
    try {
      await this.beforeLoad(index, signal)
      this.log.push(`end ${index}`)
      // In memory of its own, spoiled when it is released: the rope must not look at it afterwards.
      const chunks = [Buffer.from(own.subarray(0, 1)), Buffer.from(own.subarray(1))]
      return { chunks, release: () => chunks.forEach(chunk => chunk.fill(0xee)) }
    } finally {
      this.running--
    }
  }

  #part(own: Buffer): Part {
    return {
      size: own.length,
      read: (start, end, out, options) =>
        out.pass(
          (async function* () {
            for (let at = start; at < end;) {
              await Promise.resolve()
              const memory = options.buffers?.take() ?? Buffer.alloc(5)
              const chunk = memory.subarray(0, end - at)
              chunk.set(own.subarray(at, at + chunk.length))
              at += chunk.length
              yield chunk
            }
          })(),
        ),
    }
  }
}

const specs = fc.array(
  fc.record({ kind: fc.constantFrom<Spec['kind']>('whole', 'late', 'streamed'), size: fc.nat(40) }),
  { minLength: 1, maxLength: 60 },
)

/** Takes each chunk one step late, as the rotation of buffers allows. */
async function collectLate(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  let underWay: Uint8Array | undefined
  for await (const chunk of chunks) {
    if (underWay) copies.push(Buffer.from(underWay))
    underWay = chunk
  }
  if (underWay) copies.push(Buffer.from(underWay))
  return Buffer.concat(copies)
}

function wholes(count: number, size = 10): TestRope {
  return new TestRope(Array.from({ length: count }, () => ({ kind: 'whole', size })))
}

describe('readRope', () => {
  it('gives any range of any rope, in buffers of any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        specs,
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 50 }),
        async (list, a, b, bufferBytes) => {
          const rope = new TestRope(list)
          const [start, end] = [a % (rope.bytes.length + 1), b % (rope.bytes.length + 1)].sort(
            (x, y) => x - y,
          )
          const read = await collectLate(
            readRope(rope, start!, end!, { buffers: rotatingBuffers(bufferBytes) }),
          )
          expect(read.equals(rope.bytes.subarray(start, end))).toBe(true)
          const fresh = await collectLate(readRope(rope, start!, end!))
          expect(fresh.equals(rope.bytes.subarray(start, end))).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('fills every chunk but the last before it gives it', async () => {
    const sizes: number[] = []
    for await (const chunk of readRope(wholes(100), 0, 1000, { buffers: rotatingBuffers(64) }))
      sizes.push(chunk.length)
    expect(sizes).toEqual([...Array<number>(15).fill(64), 40])
  })

  it('loads small pieces ahead, sixteen at most, and in order', async () => {
    const rope = wholes(40)
    let most = 0
    rope.beforeLoad = async () => {
      most = Math.max(most, rope.running)
      await new Promise(resolve => setTimeout(resolve, Math.random() * 3))
    }
    expect((await collectLate(readRope(rope, 0, 400))).equals(rope.bytes)).toBe(true)
    expect(most).toBe(16)
  })

  it('holds no more than 4 MiB ahead', async () => {
    const rope = wholes(12, 1024 * 1024)
    let most = 0
    rope.beforeLoad = async () => {
      most = Math.max(most, rope.running)
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    await collectLate(readRope(rope, 0, rope.bytes.length))
    expect(most).toBe(4)
  })

  it('loads nothing outside of the range', async () => {
    const rope = wholes(40)
    await collectLate(readRope(rope, 105, 125))
    expect(rope.log.filter(line => line.startsWith('start'))).toEqual(['start 10', 'start 11', 'start 12'])
  })

  it('starts a late piece only when everything before it has been loaded', async () => {
    const rope = new TestRope([...Array<Spec>(5).fill({ kind: 'whole', size: 4 }), { kind: 'late', size: 4 }])
    await collectLate(readRope(rope, 0, 24))
    expect(rope.log.indexOf('start 5')).toBeGreaterThan(rope.log.indexOf('end 4'))
  })

  it('gives what precedes a piece that fails, then the failure, and stops the others', async () => {
    const rope = wholes(30)
    rope.beforeLoad = async (index, signal) => {
      if (index === 3) throw new AppError('Changed', 'It changed.')
      if (index > 3)
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))))
    }
    const received: Buffer[] = []
    const reading = (async () => {
      for await (const chunk of readRope(rope, 0, 300, { buffers: rotatingBuffers(10) }))
        received.push(Buffer.from(chunk))
    })()
    await expect(reading).rejects.toSatisfy(error => isAppError(error, 'Changed'))
    expect(Buffer.concat(received).equals(rope.bytes.subarray(0, 30))).toBe(true)
    expect(rope.running).toBe(0)
  })

  it('stops all loading when the consumer returns, and when the signal is aborted', async () => {
    for (const how of ['return', 'abort']) {
      const rope = wholes(30)
      rope.beforeLoad = (index, signal) =>
        index === 0
          ? Promise.resolve()
          : new Promise((_, reject) =>
              signal.addEventListener('abort', () => reject(new AppError('Aborted', 'stopped'))),
            )
      const controller = new AbortController()
      const reading = readRope(rope, 0, 300, { signal: controller.signal, buffers: rotatingBuffers(10) })
      await reading.next()
      expect(rope.running).toBe(16)
      if (how === 'return') await reading.return()
      else {
        controller.abort()
        await expect(reading.next()).rejects.toSatisfy(error => isAppError(error, 'Aborted'))
      }
      expect(rope.running).toBe(0)
    }
  })

  it('fails when a piece is not as long as it said', async () => {
    for (const size of [9, 11]) {
      const rope: Rope = {
        offsets: Float64Array.of(0, 10, 20),
        piece: () => ({ size: 10, load: () => Promise.resolve({ chunks: [Buffer.alloc(size)] }) }),
      }
      await expect(collectLate(readRope(rope, 0, 20))).rejects.toSatisfy(error =>
        isAppError(error, 'Internal'),
      )
    }
  })

  it('reads nothing for an empty range and refuses one outside', async () => {
    const rope = wholes(2)
    expect((await collectLate(readRope(rope, 20, 20))).length).toBe(0)
    expect(rope.log).toEqual([])
    await expect(readRope(rope, 0, 21).next()).rejects.toSatisfy(error => isAppError(error, 'Internal'))
  })
})
