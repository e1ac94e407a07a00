// The layer that all object stores share, on a bucket in memory: every way in which servers list, bare, behind a prefix of keys, and behind `prefixed`.
import { joinPath, ROOT } from '../../src/store/path.ts'
import { prefixed } from '../../src/store/prefixed.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { bucketDefinition, MemoryBucket, type Knobs } from '../support/object-memory.ts'
import { at, type Harness } from './harness.ts'
import { describeStore } from './store-suite.ts'

const CAPABILITIES = {
  emptyDirectories: false,
  modes: false,
  links: false,
  changesInPlace: false,
  latency: 'network',
} as const

function harnessOf(knobs: Knobs, prefix = '', folder = ROOT): Promise<Harness> {
  const bucket = new MemoryBucket(knobs)
  const key = (path: string): string => `${prefix}${joinPath(folder, at(path))}`
  // Beside the prefix and beside the folder, where a comparison by text would take it for a part of them.
  if (prefix !== '') bucket.store(`${prefix.slice(0, -1)}0/decoy`, 'decoy')
  if (folder !== ROOT) {
    bucket.store(`${prefix}${folder}0/decoy`, 'decoy')
    // The folder is there while nothing else is in it.
    bucket.store(`${prefix}${folder}/`, '')
  }
  const store = openObjectStore(bucketDefinition({ prefix }), bucket.connect)
  return Promise.resolve({
    store: folder === ROOT ? store : prefixed(store, folder),
    keepsTimes: false,
    write: (path, content) => bucket.store(key(path), content),
    remove: path => {
      for (const each of bucket.objects.keys())
        if (each === key(path) || each.startsWith(`${key(path)}/`)) bucket.objects.delete(each)
    },
    close: () => store.close(),
  })
}

const RUN = at('owner/project/run1')

describeStore('object store', CAPABILITIES, () => harnessOf({}))
describeStore('object store below a prefix', CAPABILITIES, () => harnessOf({}, 'team/outputs/'))
describeStore('object store behind prefixed', CAPABILITIES, () => harnessOf({}, '', RUN))

const SERVERS: readonly (readonly [title: string, knobs: Knobs])[] = [
  ['that orders by UTF-16', { order: 'utf16' }],
  ['that orders by UTF-16 and lists from the beginning only', { order: 'utf16', canStartAfter: false }],
  ['that lists from the beginning only', { canStartAfter: false }],
  ['with pages of one key', { pageKeys: 1 }],
  ['with pages of two keys', { pageKeys: 2 }],
  [
    'with pages of three keys, empty ones between them, and prefixes on several',
    { pageKeys: 3, oddPages: true },
  ],
  ['with odd pages in the order of UTF-16', { pageKeys: 2, oddPages: true, order: 'utf16' }],
]

for (const [title, knobs] of SERVERS)
  describeStore(`object store on a server ${title}`, CAPABILITIES, () => harnessOf(knobs, 'outputs/'))
