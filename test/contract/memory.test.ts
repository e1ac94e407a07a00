// The reference store, bare, behind `prefixed`, behind `guarded`, and behind `measured`.
import { guarded } from '../../src/store/guarded.ts'
import { measured } from '../../src/store/measured.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { prefixed } from '../../src/store/prefixed.ts'
import { joinPath, ROOT } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, bytes, type Harness } from './harness.ts'
import { describeStore } from './store-suite.ts'

const CAPABILITIES = {
  emptyDirectories: true,
  modes: false,
  links: false,
  changesInPlace: true,
  latency: 'disk',
} as const

function harnessOf(view: (store: MemoryStore) => ArtifactStore, folder = ROOT): Harness {
  const memory = new MemoryStore()
  memory.makeDirectory(folder)
  const inFolder = (path: string) => joinPath(folder, at(path))
  return {
    store: view(memory),
    keepsTimes: true,
    write: (path, content, options) => memory.write(inFolder(path), content, options),
    append: (path, content) => memory.append(inFolder(path), content),
    makeDirectory: path => memory.makeDirectory(inFolder(path)),
    remove: path => memory.forget(inFolder(path)),
    close: () => memory.close(),
  }
}

const RUN = at('owner/project/run1')

describeStore('memory store', CAPABILITIES, () => Promise.resolve(harnessOf(memory => memory)))

describeStore('memory store behind prefixed', CAPABILITIES, () => {
  const harness = harnessOf(memory => {
    memory.write(at('owner/project/run10/decoy'), bytes('decoy'))
    return prefixed(memory, RUN)
  }, RUN)
  return Promise.resolve(harness)
})

describeStore('memory store behind guarded', CAPABILITIES, () =>
  Promise.resolve(harnessOf(memory => guarded(memory, { maxOperations: 16, deadlineMs: 10_000 }, 'memory'))),
)

describeStore('memory store behind measured', CAPABILITIES, () =>
  Promise.resolve(
    harnessOf(memory => measured(memory, { operation: () => undefined, retry: () => undefined })),
  ),
)
