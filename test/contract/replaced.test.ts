// Files that others replace, on what may be a network file system: each look finds one of them, however often that happens.
import fs, { existsSync, renameSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { lockName } from '../../src/store/local-names.ts'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { Tree } from '../support/tree.ts'
import { at, readAll, withOpen } from './harness.ts'

const SHM = '/dev/shm'
const hasOtherDevice = existsSync(SHM) && statSync(SHM).dev !== statSync('/').dev
const ESTALE = Object.assign(new Error('stale'), { code: 'Unknown system error -116', errno: -116 })
/** More than a look takes turns of the event loop, and two of them. */
const TURNS = 40

describe.skipIf(!hasOtherDevice)('a file below another mount that is replaced (needs /dev/shm)', () => {
  let tree: Tree
  let store: ArtifactStore
  beforeEach(() => {
    tree = new Tree(SHM)
    tree.write('run/file', 'content')
    store = openLocalStore({ root: '/' }).scoped(at(tree.root.slice(1)))
  })
  afterEach(() => {
    vi.restoreAllMocks()
    tree.remove()
  })

  const looks: [string, () => Promise<unknown>][] = [
    ['stat', async () => (await store.stat(at('run/file'))).size],
    ['open', async () => (await withOpen(store, 'run/file', artifact => readAll(artifact))).length],
  ]

  /** Replaces the file as Linux's client of NFS does when it is open: the old one is kept by another name. */
  function replace(turn: number): void {
    tree.write('run/next', 'content')
    renameSync(tree.at('run/file'), tree.at(`run/.nfs${turn.toString(16).padStart(24, '0')}`))
    renameSync(tree.at('run/next'), tree.at('run/file'))
  }

  /** Whatever was opened in a turn of the event loop is replaced before anybody can look at it. */
  async function replaceInEachTurn(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) {
      await new Promise(resolve => setImmediate(resolve))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3)
      replace(turn)
    }
  }

  it.each(looks)('after each time that it was opened is found by %s', async (_, look) => {
    const [size] = await Promise.all([look(), replaceInEachTurn()])
    expect(size).toBe(7)
  })

  /** Lets files go stale between being found and being opened for reading. */
  function staleOpens(times: number): { readonly count: number } {
    const stale = { count: 0 }
    const { open } = fs
    vi.spyOn(fs, 'open').mockImplementation(((
      target: string,
      flags: number,
      done: (error: Error | null, fd: number) => void,
    ) => {
      if (target.startsWith('/proc/self/fd/') && (flags & fs.constants.O_DIRECTORY) === 0) {
        if (stale.count++ < times) return void setImmediate(done, ESTALE, -1)
      }
      open(target, flags, done)
    }) as typeof fs.open)
    return stale
  }

  it.each(looks)('by another machine, so that it goes stale, is found by %s', async (_, look) => {
    const stale = staleOpens(5)
    expect(await look()).toBe(7)
    expect(stale.count).toBeGreaterThan(5)
  })

  it.each(looks)('is Unavailable for now to %s when it never ceases to be stale', async (_, look) => {
    const stale = staleOpens(Infinity)
    await expect(look()).rejects.toMatchObject({ kind: 'Unavailable', temporary: true })
    expect(stale.count).toBeLessThanOrEqual(10)
  })

  it.each(looks)('in two steps under a lock is found by %s', async (_, look) => {
    tree.removePath('run/file')
    tree.write(`run/${lockName('file')}`, '')
    const looking = look()
    await sleep(15)
    tree.write('run/file', 'content')
    tree.removePath(`run/${lockName('file')}`)
    expect(await looking).toBe(7)
  })

  it.each(looks)('is NotFound to %s when it is gone, whether its name is locked or not', async (_, look) => {
    tree.removePath('run/file')
    await expect(look()).rejects.toMatchObject({ kind: 'NotFound', path: 'run/file' })
    tree.write(`run/${lockName('file')}`, '')
    await expect(look()).rejects.toMatchObject({ kind: 'NotFound', path: 'run/file' })
  })
})
