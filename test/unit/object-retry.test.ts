// The policy of trying again, and what becomes of each failure.
import { describe, expect, it } from 'vitest'
import { AppError, STORE_TROUBLES } from '../../src/errors.ts'
import { ObjectFailure, type FailureReason } from '../../src/store/object-client.ts'
import {
  BODY_POLICY,
  contractError,
  Patience,
  pauseMs,
  REQUEST_POLICY,
  type FailureContext,
} from '../../src/store/object-retry.ts'
import { at } from '../contract/harness.ts'

const NEVER = new AbortController().signal
const QUICK = { ...REQUEST_POLICY, basePauseMs: 2, maxPauseMs: 4 }
const PASSING: readonly FailureReason[] = ['unreachable', 'timeout', 'throttled', 'interrupted']
const OTHERS = STORE_TROUBLES.filter(trouble => !PASSING.includes(trouble))

describe('patience', () => {
  it.each(PASSING)('lasts for two more attempts after %s', async reason => {
    const patience = new Patience(QUICK)
    const failure = new ObjectFailure(reason)
    await patience.pause(failure, NEVER)
    await patience.pause(failure, NEVER)
    await expect(patience.pause(failure, NEVER)).rejects.toBe(failure)
  })

  it.each([...OTHERS, 'missing-object', 'changed', 'range', 'aborted'] as const)(
    'has none with %s',
    async reason => {
      const failure = new ObjectFailure(reason)
      await expect(new Patience(QUICK).pause(failure, NEVER)).rejects.toBe(failure)
    },
  )

  it('has none with failures that are no answer of a store', async () => {
    const error = new TypeError('a mistake of ours')
    await expect(new Patience(QUICK).pause(error, NEVER)).rejects.toBe(error)
  })

  it('starts anew with progress', async () => {
    const patience = new Patience(QUICK)
    for (let i = 0; i < 10; i++) {
      await patience.pause(new ObjectFailure('timeout'), NEVER)
      patience.renew()
    }
  })

  it('waits at least as long as the store asks, and not at all where that is too long', async () => {
    const startedMs = performance.now()
    await new Patience(QUICK).pause(new ObjectFailure('throttled', { retryAfterMs: 40 }), NEVER)
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(39)
    const long = new ObjectFailure('throttled', { retryAfterMs: REQUEST_POLICY.budgetMs })
    await expect(new Patience(QUICK).pause(long, NEVER)).rejects.toBe(long)
    expect(performance.now() - startedMs).toBeLessThan(1000)
  })

  it('ends with its time, whatever is left of its attempts', async () => {
    const patience = new Patience({ ...QUICK, attempts: 1000, budgetMs: 50 })
    const failure = new ObjectFailure('unreachable')
    const run = async (): Promise<void> => {
      for (;;) await patience.pause(failure, NEVER)
    }
    const startedMs = performance.now()
    await expect(run()).rejects.toBe(failure)
    expect(performance.now() - startedMs).toBeLessThan(500)
  })

  it('ends a pause when aborted', async () => {
    const controller = new AbortController()
    const pause = new Patience(QUICK).pause(
      new ObjectFailure('throttled', { retryAfterMs: 5000 }),
      controller.signal,
    )
    setTimeout(() => controller.abort(), 5)
    await expect(pause).rejects.toMatchObject({ reason: 'aborted' })
  })

  it('draws its pauses at random from the upper half of a span that doubles, up to a limit', () => {
    for (const [failures, ceilingMs] of [
      [1, 100],
      [2, 200],
      [3, 400],
      [4, 500],
      [2000, 500],
    ] as const) {
      const pauses = Array.from({ length: 300 }, () =>
        pauseMs(failures, { basePauseMs: 100, maxPauseMs: 500 }),
      )
      expect(Math.min(...pauses)).toBeGreaterThanOrEqual(ceilingMs / 2)
      expect(Math.min(...pauses)).toBeLessThan(ceilingMs * 0.55)
      expect(Math.max(...pauses)).toBeGreaterThan(ceilingMs * 0.95)
      expect(Math.max(...pauses)).toBeLessThanOrEqual(ceilingMs)
    }
  })

  it('within a body ends with its time alone, of which the wait for a connection is no part', async () => {
    const patience = new Patience({ ...BODY_POLICY, basePauseMs: 1, maxPauseMs: 1, budgetMs: 5000 })
    const failure = new ObjectFailure('unreachable')
    for (let i = 0; i < 20; i++) await patience.pause(failure, NEVER)
    patience.extend(1000)
    expect(patience.remainingMs).toBeGreaterThan(5000)
  })
})

describe('a failure of a driver', () => {
  const context: FailureContext = { connection: 'models', operation: 'read', path: at('a/b') }

  it.each([
    ['missing-object', { kind: 'NotFound' }],
    ['changed', { kind: 'Changed' }],
    ['range', { kind: 'Changed' }],
    ['aborted', { kind: 'Aborted' }],
    ...STORE_TROUBLES.map(
      trouble => [trouble, { kind: 'Unavailable', trouble, temporary: PASSING.includes(trouble) }] as const,
    ),
  ] as const)('%s is told as %j, with operation and path', (reason, expected) => {
    const failure = new ObjectFailure(reason)
    const error = contractError(failure, context)
    expect(error).toMatchObject({ ...expected, op: 'read', path: 'a/b', cause: failure })
    if (expected.kind === 'Unavailable') expect(error.message).toContain("'models'")
  })

  it('that an object is missing is told as Changed where it was seen before', () => {
    const error = contractError(new ObjectFailure('missing-object'), { ...context, missing: 'Changed' })
    expect(error.kind).toBe('Changed')
  })

  it('is told as it is where it has words already, and as Internal where nobody foresaw it', () => {
    const told = new AppError('NoSpace', 'No space.')
    expect(contractError(told, context)).toBe(told)
    const unforeseen = contractError(new TypeError('secret-endpoint'), context)
    expect(unforeseen.kind).toBe('Internal')
    expect(unforeseen.message).not.toContain('secret-endpoint')
  })
})
