// The local store on the real disk: bare, scoped, behind a link, and without /proc.
import { existsSync, statSync } from 'node:fs'
import { describe } from 'vitest'
import { openLocalStore } from '../../src/store/local.ts'
import { LOCAL_CAPABILITIES, makeTreeStore, treeHarness } from '../support/store-local.ts'
import { Tree } from '../support/tree.ts'
import { at } from './harness.ts'
import { describeStore } from './store-suite.ts'

const RUN = 'owner/project/run1'

// Where descriptors cannot be asked, the same store works by real paths: macOS always, Linux here to be tested.
const ways = [
  { way: 'by descriptors', useProc: true, available: existsSync('/proc/self/fd') },
  { way: 'by real paths', useProc: false, available: true },
].filter(({ available }) => available)

for (const { way, useProc } of ways) {
  describeStore(`local store ${way}`, LOCAL_CAPABILITIES, () => Promise.resolve(makeTreeStore({ useProc })))
  describeStore(`local store ${way}, scoped`, LOCAL_CAPABILITIES, () =>
    Promise.resolve(makeTreeStore({ useProc, prefix: RUN })),
  )
}

describeStore('local store whose root is a link', LOCAL_CAPABILITIES, () => {
  const tree = new Tree()
  tree.makeDirectory('real')
  tree.link('root', 'real')
  return Promise.resolve(treeHarness(openLocalStore({ root: tree.at('root') }), tree, 'real'))
})

// Below a root on a disk, another file system may be a network's: there nothing is called on the event loop.
const SHM = '/dev/shm'
const hasOtherDevice = existsSync(SHM) && statSync(SHM).dev !== statSync('/').dev

describe.skipIf(!hasOtherDevice)('on another file system (needs /dev/shm)', () => {
  describeStore('local store, scoped below a mount', LOCAL_CAPABILITIES, () => {
    const tree = new Tree(SHM)
    const store = openLocalStore({ root: '/' }).scoped(at(tree.root.slice(1)))
    return Promise.resolve(treeHarness(store, tree))
  })
})
