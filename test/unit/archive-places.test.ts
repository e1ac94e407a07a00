import { describe, expect, it } from 'vitest'
import { Places } from '../../src/content/archive-places.ts'

describe('places that owners share', () => {
  it('go to owners in turn, so that one with much work does not hold up one with little', async () => {
    const places = new Places(1)
    const [busy, other] = [{}, {}]
    const order: string[] = []
    const work = async (owner: object, name: string): Promise<void> => {
      const leave = await places.enter(owner, undefined)
      await Promise.resolve()
      order.push(name)
      leave()
    }
    await Promise.all([
      ...Array.from({ length: 5 }, (_, i) => work(busy, `busy ${i}`)),
      work(other, 'other 0'),
      work(other, 'other 1'),
    ])
    expect(order).toEqual(['busy 0', 'busy 1', 'other 0', 'busy 2', 'other 1', 'busy 3', 'busy 4'])
  })

  it('are not kept by one who gives up waiting', async () => {
    const places = new Places(1)
    const leave = await places.enter({}, undefined)
    const controller = new AbortController()
    const waiting = places.enter({}, controller.signal)
    const next = places.enter({}, undefined)
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ kind: 'Aborted' })
    leave()
    ;(await next)()
  })
})
