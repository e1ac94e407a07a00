// The sections of Polyaxon's own configuration that define stores, and under which names they come.
import type { Written } from './written.ts'

/** As written by the operator: `outputs` is the map and `logs` the one store of Polyaxon 0.x, the others are of 1.x and 2.x. */
export type StoreSections = { [Section in StoreSection]?: Written }

export type StoreSection = 'outputs' | 'logs' | 'artifactsStore' | 'connections'

const SECTION_BY_PATH: Readonly<Record<string, StoreSection>> = {
  'persistence.outputs': 'outputs',
  'persistence.logs': 'logs',
  artifactsStore: 'artifactsStore',
  artifacts_store: 'artifactsStore',
  connections: 'connections',
}

/** Key paths in the YAML file. */
export const SECTION_PATHS = Object.keys(SECTION_BY_PATH)

/** What else Polyaxon's Helm values have under `persistence`: not ours, and no reason to refuse a section that was pasted as it is. */
const FOREIGN_PATHS: readonly string[] = ['data', 'repos', 'upload'].map(key => `persistence.${key}`)

/** The map that holds the sections of 0.x. With nothing in it, it is an `outputs` that defines no store. */
export const PERSISTENCE_PATH = 'persistence'

/** The section at a key path of the YAML file, or 'foreign' for one of Polyaxon's that holds neither outputs nor logs. */
export function sectionAt(path: string): StoreSection | 'foreign' | undefined {
  if (FOREIGN_PATHS.includes(path)) return 'foreign'
  return Object.hasOwn(SECTION_BY_PATH, path) ? SECTION_BY_PATH[path] : undefined
}

/** The variables in which Polyaxon hands its configuration to its own services. */
export const SECTION_VARIABLES: Readonly<Record<StoreSection, string>> = {
  outputs: 'POLYAXON_PERSISTENCE_OUTPUTS',
  logs: 'POLYAXON_PERSISTENCE_LOGS',
  artifactsStore: 'POLYAXON_AGENT_ARTIFACTS_STORE',
  connections: 'POLYAXON_AGENT_CONNECTIONS',
}
