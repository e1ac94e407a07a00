// A store of a test's own making: a memory store in which some calls do something else, and all are counted.
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { prefixed } from '../../src/store/prefixed.ts'
import type { ArtifactStore, OpenArtifact } from '../../src/store/store.ts'
import { changesOf } from '../support/changes.ts'

export interface ScriptedStore extends ArtifactStore {
  readonly memory: MemoryStore
  /** Calls so far; `read` counts the bodies that were begun. */
  readonly calls: { stat: number; list: number; open: number; read: number }
  /** Artifacts that are open now. */
  readonly opened: number
  write(path: string, content: string | Uint8Array): void
}

/** What `script` leaves out is as in memory; scoped views go through it too. */
export function scriptedStore(
  script: Partial<ArtifactStore> & { artifact?: (artifact: OpenArtifact) => Partial<OpenArtifact> } = {},
): ScriptedStore {
  const memory = new MemoryStore()
  const calls = { stat: 0, list: 0, open: 0, read: 0 }
  let opened = 0
  const { artifact: change, ...methods } = script

  function watched(artifact: OpenArtifact): OpenArtifact {
    opened += 1
    let isOpen = true
    const changed = { ...plain(artifact), ...change?.(artifact) }
    return {
      ...changed,
      read: (start, end, options) => {
        calls.read += 1
        return changed.read(start, end, options)
      },
      close: () => {
        if (isOpen) opened -= 1
        isOpen = false
        return changed.close()
      },
    }
  }

  const store: ScriptedStore = {
    ...changesOf(memory),
    memory,
    calls,
    get opened() {
      return opened
    },
    capabilities: methods.capabilities ?? memory.capabilities,
    write: (path, content) => memory.write(parsePath(path), Buffer.from(content)),
    stat: (path, options) => {
      calls.stat += 1
      return (methods.stat ?? memory.stat.bind(memory))(path, options)
    },
    list: (path, options) => {
      calls.list += 1
      return (methods.list ?? memory.list.bind(memory))(path, options)
    },
    open: async (path, options) => {
      calls.open += 1
      return watched(await (methods.open ?? memory.open.bind(memory))(path, options))
    },
    ...(methods.direct && { direct: methods.direct }),
    scoped: folder => prefixed(store, folder),
    close: () => memory.close(),
  }
  return store
}

function plain(artifact: OpenArtifact): OpenArtifact {
  return {
    entry: artifact.entry,
    contentEncoding: artifact.contentEncoding,
    read: (start, end, options) => artifact.read(start, end, options),
    close: () => artifact.close(),
  }
}
