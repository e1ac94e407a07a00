// Local stores to run suites on: on this machine's temporary folder, and on a mounted NFS export.
import { basename, join } from 'node:path'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore, Capabilities } from '../../src/store/store.ts'
import { at, type Harness } from '../contract/harness.ts'
import { serverSettings, type StoreUnderTest } from './servers.ts'
import { Tree } from './tree.ts'

export const LOCAL_CAPABILITIES: Capabilities = {
  emptyDirectories: true,
  modes: true,
  links: true,
  changesInPlace: true,
  latency: 'disk',
}

/** A store whose root is the folder `folder` of `tree`, and which the tree changes. */
export function treeHarness(store: ArtifactStore, tree: Tree, folder = ''): Harness {
  const inFolder = (path: string): string => [folder, path].filter(part => part !== '').join('/')
  return {
    store,
    keepsTimes: true,
    write: (path, content, options) => tree.write(inFolder(path), content, options),
    append: (path, content) => tree.append(inFolder(path), content),
    makeDirectory: path => tree.makeDirectory(inFolder(path)),
    remove: path => tree.removePath(inFolder(path)),
    link: (path, target) => tree.link(inFolder(path), target),
    close: async () => {
      await store.close()
      await tree.removeWhenClosed()
    },
  }
}

interface TreeStoreOptions {
  /** Where the folder of the store is made. */
  readonly parent?: string
  /** Where this machine sees that folder; by default where it is made. */
  readonly seenAt?: string
  readonly useProc?: boolean
  readonly prefix?: string | undefined
}

/** A fresh store. With `prefix` it is a scoped view, and there are decoys beside it. */
export function makeTreeStore({ parent, seenAt, useProc, prefix = '' }: TreeStoreOptions = {}): Harness {
  const tree = new Tree(parent)
  const root = seenAt === undefined ? tree.root : join(seenAt, basename(tree.root))
  const store = openLocalStore({ root, ...(useProc !== undefined && { useProc }) })
  if (prefix === '') return treeHarness(store, tree)
  const folder = prefix.replace(/\/$/, '')
  tree.write(`${folder}0/decoy`, 'decoy')
  tree.makeDirectory(folder)
  return treeHarness(store.scoped(at(folder)), tree, folder)
}

export const localStore: StoreUnderTest = {
  title: 'local store',
  available: true,
  capabilities: LOCAL_CAPABILITIES,
  make: ({ prefix } = {}) => Promise.resolve(makeTreeStore({ prefix })),
}

const nfs = serverSettings('nfs')

/** TEST_NFS names the mounted folder (`mount`) and, where the server is at hand, the same folder on its side (`export`). */
export const nfsStore: StoreUnderTest = {
  title: 'local store on NFS (needs TEST_NFS)',
  available: nfs?.['mount'] !== undefined,
  capabilities: LOCAL_CAPABILITIES,
  make: ({ prefix } = {}) => Promise.resolve(makeTreeStore({ parent: nfs!['mount']!, prefix })),
}

/** The same, but all changes are made by the server, as another machine would: what this one remembers of the files is out of date. */
export const remotelyChangedNfsStore: StoreUnderTest = {
  title: 'local store on NFS that another machine changes (needs TEST_NFS with export)',
  available: nfs?.['mount'] !== undefined && nfs['export'] !== undefined,
  capabilities: LOCAL_CAPABILITIES,
  make: ({ prefix } = {}) =>
    Promise.resolve(makeTreeStore({ parent: nfs!['export']!, seenAt: nfs!['mount']!, prefix })),
}
