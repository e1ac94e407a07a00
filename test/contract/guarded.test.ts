// The guard on a store that hangs on demand.
import { setImmediate, setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { guarded } from '../../src/store/guarded.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import type { ArtifactStore, OpenArtifact } from '../../src/store/store.ts'
import { at, bytes, listAll, pattern, readAll } from './harness.ts'

/** A memory store in which every call waits at a gate while it is shut. */
function gated(): { store: ArtifactStore; memory: MemoryStore; gate: Gate; closed: () => number } {
  const memory = new MemoryStore()
  const gate = new Gate()
  let closed = 0
  const wrap = (artifact: OpenArtifact): OpenArtifact => ({
    entry: artifact.entry,
    read: (start, end, options) => gate.steps(artifact.read(start, end, options)),
    close: async () => {
      await gate.pass()
      closed++
      await artifact.close()
    },
  })
  const viewOf = (inner: ArtifactStore): ArtifactStore => ({
    capabilities: inner.capabilities,
    stat: (path, options) => gate.pass().then(() => inner.stat(path, options)),
    list: (path, options) => gate.steps(inner.list(path, options)),
    open: (path, options) => gate.pass().then(async () => wrap(await inner.open(path, options))),
    scoped: folder => viewOf(inner.scoped(folder)),
    close: () => inner.close(),
  })
  return { store: viewOf(memory), memory, gate, closed: () => closed }
}

class Gate {
  #opened: Promise<void> = Promise.resolve()
  #open: () => void = () => undefined

  shut(): void {
    this.#opened = new Promise(resolve => (this.#open = resolve))
  }

  open(): void {
    this.#open()
  }

  pass(): Promise<void> {
    return this.#opened
  }

  async *steps<T>(inner: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    await this.pass()
    for await (const each of inner) {
      yield each
      await this.pass()
    }
  }
}

const DEADLINE_MS = 50
const UNAVAILABLE = { kind: 'Unavailable', temporary: true }

describe('guarded', () => {
  it('answers a hung operation with Unavailable at the deadline, and counts it until it settles', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 4, deadlineMs: DEADLINE_MS })
    gate.shut()
    const begun = performance.now()
    for (const work of [guard.stat(at('a')), listAll(guard, ''), guard.open(at('a'))])
      await expect(work).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - begun).toBeLessThan(40 * DEADLINE_MS)
    expect(guard.operations).toEqual({ inFlight: 3, hung: 3 })
    gate.open()
    await setTimeout(10)
    expect(guard.operations).toEqual({ inFlight: 0, hung: 0 })
    expect(await guard.stat(at('a'))).toMatchObject({ size: 1 })
  })

  it('refuses at once when every place is hung, also in scoped views, and recovers', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('run/a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS })
    gate.shut()
    const hung = await Promise.allSettled([guard.stat(at('run/a')), guard.scoped(at('run')).stat(at('a'))])
    expect(hung.map(each => each.status)).toEqual(['rejected', 'rejected'])
    const begun = performance.now()
    await expect(guard.scoped(at('run')).stat(at('a'))).rejects.toMatchObject(UNAVAILABLE)
    await expect(listAll(guard, '')).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - begun).toBeLessThan(DEADLINE_MS)
    expect(guard.operations).toEqual({ inFlight: 2, hung: 2 })
    gate.open()
    await setTimeout(10)
    expect(await guard.scoped(at('run')).stat(at('a'))).toMatchObject({ size: 1 })
  })

  it('lets a burst wait for its turn, and runs no more than the bound at once', async () => {
    const memory = new MemoryStore()
    memory.write(at('a'), bytes('a'))
    let underWay = 0
    let most = 0
    const slow: ArtifactStore = {
      ...bind(memory),
      stat: async path => {
        most = Math.max(most, ++underWay)
        await setImmediate()
        underWay--
        return memory.stat(path)
      },
    }
    const guard = guarded(slow, { maxOperations: 3, deadlineMs: 10_000 })
    const entries = await Promise.all(Array.from({ length: 90 }, () => guard.stat(at('a'))))
    expect(entries).toHaveLength(90)
    expect(most).toBe(3)
    expect(guard.operations).toEqual({ inFlight: 0, hung: 0 })
  })

  it('refuses those that wait once every place is hung, and those that find the queue full', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 1, deadlineMs: DEADLINE_MS })
    gate.shut()
    const begun = performance.now()
    const waiting = Array.from({ length: 33 }, () => guard.stat(at('a')))
    const tooMany = guard.stat(at('a'))
    await expect(tooMany).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - begun).toBeLessThan(DEADLINE_MS)
    for (const work of await Promise.allSettled(waiting)) expect(work).toMatchObject({ reason: UNAVAILABLE })
    expect(guard.operations).toEqual({ inFlight: 1, hung: 1 })
    gate.open()
  })

  it('closes an artifact that was opened too late', async () => {
    const { store, memory, gate, closed } = gated()
    memory.write(at('a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS })
    gate.shut()
    await expect(guard.open(at('a'))).rejects.toMatchObject(UNAVAILABLE)
    expect(closed()).toBe(0)
    gate.open()
    await setTimeout(10)
    expect(closed()).toBe(1)
  })

  it('gives each chunk its own deadline, and none to the consumer', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('data'), pattern(1_000_000))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS })
    const artifact = await guard.open(at('data'))
    let read = 0
    for await (const chunk of artifact.read(0, 1_000_000)) {
      read += chunk.length
      await setTimeout(2 * DEADLINE_MS)
    }
    expect(read).toBe(1_000_000)
    const cut = async (): Promise<void> => {
      for await (const chunk of artifact.read(0, 1_000_000)) if (chunk.length > 0) gate.shut()
    }
    await expect(cut()).rejects.toMatchObject(UNAVAILABLE)
    expect(guard.operations).toEqual({ inFlight: 1, hung: 1 })
    // Closing a hung artifact ends at the deadline, without a failure.
    await artifact.close()
    gate.open()
    await setTimeout(10)
    expect(guard.operations).toEqual({ inFlight: 0, hung: 0 })
  })

  it('says that memory is still in use when a read is left during a hung chunk', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('data'), pattern(1_000_000))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS })
    const artifact = await guard.open(at('data'))
    const steps = artifact.read(0, 1_000_000)[Symbol.asyncIterator]()
    await steps.next()
    gate.shut()
    const hung = expect(steps.next()).rejects.toMatchObject(UNAVAILABLE)
    await expect(steps.return!()).rejects.toMatchObject(UNAVAILABLE)
    await hung
    gate.open()
    await artifact.close()
  })

  it('passes failures on as they are', async () => {
    const guard = guarded(new MemoryStore(), { maxOperations: 2, deadlineMs: DEADLINE_MS })
    await expect(guard.stat(at('none'))).rejects.toMatchObject({ kind: 'NotFound', path: 'none' })
    await expect(guard.open(at('none')).then(readAll)).rejects.toMatchObject({ kind: 'NotFound' })
    expect(guard.operations).toEqual({ inFlight: 0, hung: 0 })
  })
})

function bind(store: MemoryStore): ArtifactStore {
  return {
    capabilities: store.capabilities,
    stat: (path, options) => store.stat(path, options),
    list: (path, options) => store.list(path, options),
    open: (path, options) => store.open(path, options),
    scoped: folder => store.scoped(folder),
    close: () => store.close(),
  }
}
