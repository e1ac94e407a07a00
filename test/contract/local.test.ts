// The local store on the real disk: bare, scoped, behind a link, and without /proc.
import { existsSync, statSync } from 'node:fs'
import { describe } from 'vitest'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { Tree } from '../support/tree.ts'
import { at, type Harness } from './harness.ts'
import { describeStore } from './store-suite.ts'

const CAPABILITIES = { emptyDirectories: true, modes: true, links: true }

async function harnessOf(
  open: (tree: Tree) => Promise<ArtifactStore>,
  folder = '',
  tree = new Tree(),
): Promise<Harness> {
  tree.makeDirectory(folder)
  const inFolder = (path: string): string => [folder, path].filter(part => part !== '').join('/')
  return {
    store: await open(tree),
    write: (path, content, options) => tree.write(inFolder(path), content, options),
    append: (path, content) => tree.append(inFolder(path), content),
    makeDirectory: path => tree.makeDirectory(inFolder(path)),
    remove: path => tree.removePath(inFolder(path)),
    link: (path, target) => tree.link(inFolder(path), target),
    close: () => {
      tree.remove()
      return Promise.resolve()
    },
  }
}

const RUN = 'owner/project/run1'

async function openScoped(tree: Tree, useProc: boolean): Promise<ArtifactStore> {
  tree.write('owner/project/run10/decoy', 'decoy')
  return (await openLocalStore({ root: tree.root, useProc })).scoped(at(RUN))
}

// Where descriptors cannot be asked, the same store works by real paths: macOS always, Linux here to be tested.
const ways = [
  { way: 'by descriptors', useProc: true, available: existsSync('/proc/self/fd') },
  { way: 'by real paths', useProc: false, available: true },
].filter(({ available }) => available)

for (const { way, useProc } of ways) {
  describeStore(`local store ${way}`, CAPABILITIES, () =>
    harnessOf(tree => openLocalStore({ root: tree.root, useProc })),
  )
  describeStore(`local store ${way}, scoped`, CAPABILITIES, () =>
    harnessOf(tree => openScoped(tree, useProc), RUN),
  )
}

describeStore('local store whose root is a link', CAPABILITIES, () =>
  harnessOf(tree => {
    tree.makeDirectory('real')
    tree.link('root', 'real')
    return openLocalStore({ root: tree.at('root') })
  }, 'real'),
)

// Below a root on a disk, another file system may be a network's: there nothing is called on the event loop.
const SHM = '/dev/shm'
const hasOtherDevice = existsSync(SHM) && statSync(SHM).dev !== statSync('/').dev

describe.skipIf(!hasOtherDevice)('on another file system (needs /dev/shm)', () => {
  describeStore('local store, scoped below a mount', CAPABILITIES, async () => {
    const tree = new Tree(SHM)
    return harnessOf(
      async () => (await openLocalStore({ root: '/' })).scoped(at(tree.root.slice(1))),
      '',
      tree,
    )
  })
})
