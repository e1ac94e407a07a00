// The end of one attempt, by time or by its signal, whatever the work itself does about it.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { withinTime } from '../../src/store/object-deadline.ts'

const NEVER = new AbortController().signal
const hangs = (): Promise<never> => new Promise(() => undefined)

describe('an attempt', () => {
  it('gives what its work gives, and rejects as that does', async () => {
    expect(await withinTime(() => Promise.resolve(1), { signal: NEVER, timeoutMs: 1000 })).toBe(1)
    const failing = withinTime(() => Promise.reject(new Error('x')), { signal: NEVER, timeoutMs: 1000 })
    await expect(failing).rejects.toThrow('x')
  })

  it('leaves nothing behind that fails later when its work throws at once', async () => {
    const unhandled: unknown[] = []
    const note = (error: unknown): unknown => unhandled.push(error)
    process.on('unhandledRejection', note)
    try {
      const thrown = withinTime(
        () => {
          throw new Error('at once')
        },
        { signal: NEVER, timeoutMs: 20 },
      )
      await expect(thrown).rejects.toThrow('at once')
      await sleep(60)
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })

  it('ends in time with advice, also where its work does not look at the signal', async () => {
    const begunAtMs = performance.now()
    const ended = withinTime(hangs, { signal: NEVER, timeoutMs: 50, advice: 'Wait.' })
    await expect(ended).rejects.toMatchObject({ reason: 'timeout', advice: 'Wait.' })
    expect(performance.now() - begunAtMs).toBeLessThan(1000)
  })

  it('ends with its signal, of which the reason is kept, and is not begun where that is aborted', async () => {
    const giving = new AbortController()
    const ended = withinTime(hangs, { signal: giving.signal, timeoutMs: 10_000 })
    giving.abort('why')
    await expect(ended).rejects.toMatchObject({ reason: 'aborted', cause: 'why' })
    let begun = false
    const work = (): Promise<void> => Promise.resolve(void (begun = true))
    await expect(withinTime(work, { signal: giving.signal, timeoutMs: 10_000 })).rejects.toMatchObject({
      reason: 'aborted',
    })
    expect(begun).toBe(false)
  })

  it('tells its work, whose own words for the end are not passed on', async () => {
    const work = (signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('own words'))))
    await expect(withinTime(work, { signal: NEVER, timeoutMs: 20 })).rejects.toMatchObject({
      reason: 'timeout',
    })
  })

  it('leaves its work alone once that has given something: a body goes on after the headers', async () => {
    const giving = new AbortController()
    const work = (signal: AbortSignal): Promise<AbortSignal> => Promise.resolve(signal)
    const signal = await withinTime(work, { signal: giving.signal, timeoutMs: 20 })
    await sleep(40)
    giving.abort()
    expect(signal.aborted).toBe(false)
  })

  it('frees what comes after its end, once', async () => {
    const discarded: string[] = []
    const discard = (late: string): void => void discarded.push(late)
    const late = withinTime(() => sleep(60, 'late'), { signal: NEVER, timeoutMs: 20, discard })
    await expect(late).rejects.toMatchObject({ reason: 'timeout' })
    expect(await withinTime(() => sleep(1, 'good'), { signal: NEVER, timeoutMs: 1000, discard })).toBe('good')
    await sleep(80)
    expect(discarded).toEqual(['late'])
  })
})
