// Requests about one upload: one after the other, and none for longer than a client gets no answer.
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { Turns } from '../../src/http/turns.ts'

const ask = new AbortController().signal
const locked = { kind: 'Locked', temporary: true }

let turns: Turns
beforeEach(() => {
  turns = new Turns(100)
})

describe('a turn', () => {
  it('comes after the one before, which is asked to stop', async () => {
    const first = await turns.take('a', true, ask)
    let began = false
    const second = turns.take('a', false, ask).then(turn => {
      began = true
      return turn
    })
    expect(first.signal.aborted).toBe(true)
    await sleep(10)
    expect(began).toBe(false)
    first.end()
    expect((await second).signal.aborted).toBe(false)
  })

  it('of another upload does not wait', async () => {
    const first = await turns.take('a', true, ask)
    await turns.take('b', true, ask)
    expect(first.signal.aborted).toBe(false)
  })

  it('that would add to an upload does not come while another one does', async () => {
    const first = await turns.take('a', true, ask)
    await expect(turns.take('a', true, ask)).rejects.toMatchObject(locked)
    expect(first.signal.aborted).toBe(false)
    first.end()
    await sleep(0)
    await turns.take('a', true, ask)
  })

  it('is not waited for too long, and not by a client that has gone', async () => {
    await turns.take('a', true, ask)
    await expect(turns.take('a', false, ask)).rejects.toMatchObject(locked)
    const gone = new AbortController()
    const waiting = turns.take('a', false, gone.signal)
    gone.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
  })

  it('goes on with what takes longer than an answer may', async () => {
    const { promise: work, resolve } = Promise.withResolvers<string>()
    const first = await turns.take('a', false, ask)
    await expect(first.patiently(work)).rejects.toMatchObject(locked)
    first.end()
    await expect(turns.take('a', false, ask)).rejects.toMatchObject(locked)
    resolve('done')
    await sleep(0)
    const next = await turns.take('a', false, ask)
    expect(await next.patiently(Promise.resolve('done'))).toBe('done')
    await expect(next.patiently(Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  })

  it('is ended for all when the service ends', async () => {
    const [first, second] = await Promise.all([turns.take('a', true, ask), turns.take('b', false, ask)])
    const stopped = turns.stop()
    expect([first.signal.aborted, second.signal.aborted]).toEqual([true, true])
    first.end()
    second.end()
    await stopped
  })
})
