// The guard on a store that hangs on demand.
import { setImmediate, setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { storeError, troubleError } from '../../src/store/failure.ts'
import { guarded } from '../../src/store/guarded.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { prefixed } from '../../src/store/prefixed.ts'
import type { ArtifactStore, OpenArtifact } from '../../src/store/store.ts'
import { at, bytes, listAll, pattern, readAll } from './harness.ts'
import { changesOf } from '../support/changes.ts'

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
    ...changesOf(inner),
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
    const guard = guarded(store, { maxOperations: 4, deadlineMs: DEADLINE_MS }, 'outputs')
    gate.shut()
    const begun = performance.now()
    for (const work of [guard.stat(at('a')), listAll(guard, ''), guard.open(at('a'))])
      await expect(work).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - begun).toBeLessThan(40 * DEADLINE_MS)
    expect(guard.operations).toMatchObject({ inFlight: 3, hung: 3 })
    gate.open()
    await setTimeout(10)
    expect(guard.operations).toMatchObject({ inFlight: 0, hung: 0 })
    expect(await guard.stat(at('a'))).toMatchObject({ size: 1 })
  })

  it('refuses at once when every place is hung, also in scoped views, and recovers', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('run/a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS }, 'outputs')
    gate.shut()
    const hung = await Promise.allSettled([guard.stat(at('run/a')), guard.scoped(at('run')).stat(at('a'))])
    expect(hung.map(each => each.status)).toEqual(['rejected', 'rejected'])
    const begun = performance.now()
    await expect(guard.scoped(at('run')).stat(at('a'))).rejects.toMatchObject(UNAVAILABLE)
    await expect(listAll(guard, '')).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - begun).toBeLessThan(DEADLINE_MS)
    expect(guard.operations).toMatchObject({ inFlight: 2, hung: 2 })
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
    const guard = guarded(slow, { maxOperations: 3, deadlineMs: 10_000 }, 'outputs')
    const entries = await Promise.all(Array.from({ length: 90 }, () => guard.stat(at('a'))))
    expect(entries).toHaveLength(90)
    expect(most).toBe(3)
    expect(guard.operations).toMatchObject({ inFlight: 0, hung: 0 })
  })

  it('refuses those that wait once every place is hung, and those that find the queue full', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 1, deadlineMs: DEADLINE_MS }, 'outputs')
    gate.shut()
    const begun = performance.now()
    const waiting = Array.from({ length: 33 }, () => guard.stat(at('a')))
    const tooMany = guard.stat(at('a'))
    await expect(tooMany).rejects.toMatchObject(UNAVAILABLE)
    expect(performance.now() - begun).toBeLessThan(DEADLINE_MS)
    for (const work of await Promise.allSettled(waiting)) expect(work).toMatchObject({ reason: UNAVAILABLE })
    expect(guard.operations).toMatchObject({ inFlight: 1, hung: 1 })
    gate.open()
  })

  it('closes an artifact that was opened too late', async () => {
    const { store, memory, gate, closed } = gated()
    memory.write(at('a'), bytes('a'))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS }, 'outputs')
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
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS }, 'outputs')
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
    expect(guard.operations).toMatchObject({ inFlight: 1, hung: 1 })
    // Closing a hung artifact ends at the deadline, without a failure.
    await artifact.close()
    gate.open()
    await setTimeout(10)
    expect(guard.operations).toMatchObject({ inFlight: 0, hung: 0 })
  })

  it('says that memory is still in use when a read is left during a hung chunk', async () => {
    const { store, memory, gate } = gated()
    memory.write(at('data'), pattern(1_000_000))
    const guard = guarded(store, { maxOperations: 2, deadlineMs: DEADLINE_MS }, 'outputs')
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

  it('names the connection, and tells a volume that hangs from a server that is slow', async () => {
    for (const [latency, trouble] of [
      ['disk', 'unreachable'],
      ['network', 'timeout'],
    ] as const) {
      const { store, gate } = gated()
      const limits = { maxOperations: 1, deadlineMs: DEADLINE_MS }
      const remote = { ...store, capabilities: { ...store.capabilities, latency } }
      const guard = guarded(remote, limits, 'lake')
      gate.shut()
      await expect(guard.stat(at('a'))).rejects.toMatchObject({
        ...UNAVAILABLE,
        trouble,
        message: expect.stringMatching(/^The outputs store 'lake' .* within 0\.05 s\.$/) as string,
      })
      await expect(guard.stat(at('a'))).rejects.toMatchObject({
        ...UNAVAILABLE,
        message: expect.stringContaining("'lake' has too many operations") as string,
      })
      gate.open()
    }
  })

  it('names the connection in what a store says that knows no name, and in its probe', async () => {
    const cause = new Error('ENXIO')
    const away = storeError('Unavailable', 'stat', at('a'), cause)
    const keys = troubleError('lake', 'credentials', 'stat', at('a'))
    let failure = away
    const store: ArtifactStore = {
      ...bind(new MemoryStore()),
      stat: () => Promise.reject(failure),
      probe: () =>
        Promise.resolve({
          list: { result: 'failed', error: failure },
          read: { result: 'skipped', detail: 'x' },
          write: { result: 'ok' },
          deliver: { result: 'failed', error: failure },
        }),
    }
    const guard = guarded(store, { maxOperations: 1, deadlineMs: DEADLINE_MS }, 'lake')
    const named = {
      kind: 'Unavailable',
      message: "The outputs store 'lake' cannot be reached: try again later.",
      trouble: 'unreachable',
      cause,
    }
    await expect(guard.stat(at('a'))).rejects.toMatchObject(named)
    expect(await guard.probe!()).toMatchObject({
      list: { error: named },
      read: { result: 'skipped', detail: 'x' },
      write: { result: 'ok' },
      deliver: { error: named },
    })
    failure = keys
    await expect(guard.stat(at('a'))).rejects.toBe(keys)
    expect((await guard.probe!()).list).toEqual({ result: 'failed', error: keys })
  })

  it('hands on what a store can do beyond the contract, and nothing that it cannot', async () => {
    const memory = new MemoryStore()
    memory.write(at('run/a'), bytes('a'))
    const plain = guarded(memory, { maxOperations: 1, deadlineMs: DEADLINE_MS }, 'outputs')
    expect(plain).toMatchObject({ direct: undefined, probe: undefined })
    expect(await plain.open(at('run/a'))).toMatchObject({ storedCrc32: undefined })
    const able: ArtifactStore = {
      ...bind(memory),
      open: async (path, options) =>
        Object.assign(await memory.open(path, options), {
          contentEncoding: 'gzip',
          storedCrc32: () => Promise.resolve(7),
        }),
      direct: path => Promise.resolve({ type: 'redirect', url: `https://store/${path}` }),
    }
    const guard = guarded(able, { maxOperations: 1, deadlineMs: DEADLINE_MS }, 'outputs')
    for (const [view, path] of [
      [guard, 'run/a'],
      [prefixed(guard, at('run')), 'a'],
    ] as const) {
      const artifact = await view.open(at(path))
      expect(artifact.contentEncoding).toBe('gzip')
      expect(await artifact.storedCrc32!()).toBe(7)
      await artifact.close()
      expect(await view.direct!(at(path), true, { disposition: 'inline', mediaType: 'x/y' })).toEqual({
        type: 'redirect',
        url: 'https://store/run/a',
      })
    }
  })

  it('ends a change that is late: what was answered as failed must not come true later', async () => {
    const memory = new MemoryStore()
    const signals: (AbortSignal | undefined)[] = []
    const hang = ({ signal }: { readonly signal?: AbortSignal } = {}): Promise<never> => {
      signals.push(signal)
      return new Promise<never>((_, reject) =>
        signal?.addEventListener('abort', () => reject(storeError('Aborted', 'write', at('b')))),
      )
    }
    const hanging: ArtifactStore = {
      ...bind(memory),
      copy: (_from, _to, options) => hang(options),
      move: (_from, _to, options) => hang(options),
      remove: (_path, options) => hang(options),
      removeAll: (_path, options) => hang(options),
      sweep: (_olderThanMs, options) => hang(options),
    }
    const guard = guarded(hanging, { maxOperations: 8, deadlineMs: DEADLINE_MS }, 'outputs')
    for (const change of [
      guard.copy!(at('a'), at('b')),
      guard.move!(at('a'), at('b')),
      guard.remove(at('b')),
      guard.removeAll(at('b')),
      guard.sweep!(0),
    ])
      await expect(change).rejects.toMatchObject(UNAVAILABLE)
    expect(signals.map(signal => signal?.aborted)).toEqual([true, true, true, true, true])
    await setTimeout(10)
    expect(guard.operations).toMatchObject({ inFlight: 0, hung: 0 })
  })

  it('passes failures on as they are', async () => {
    const guard = guarded(new MemoryStore(), { maxOperations: 2, deadlineMs: DEADLINE_MS }, 'outputs')
    await expect(guard.stat(at('none'))).rejects.toMatchObject({ kind: 'NotFound', path: 'none' })
    await expect(guard.open(at('none')).then(readAll)).rejects.toMatchObject({ kind: 'NotFound' })
    expect(guard.operations).toMatchObject({ inFlight: 0, hung: 0 })
  })
})

function bind(store: MemoryStore): ArtifactStore {
  return {
    ...changesOf(store),
    capabilities: store.capabilities,
    stat: (path, options) => store.stat(path, options),
    list: (path, options) => store.list(path, options),
    open: (path, options) => store.open(path, options),
    scoped: folder => store.scoped(folder),
    close: () => store.close(),
  }
}
