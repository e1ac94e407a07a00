// Settings from a YAML file: nested maps whose key paths are those of the table, and Polyaxon's own sections for the outputs stores.
import { readFileSync } from 'node:fs'
import { didYouMean, expectedFound, type Fault } from './fault.ts'
import { SETTING_KEYS, type SettingKey } from './settings.ts'
import type { Found, Source } from './source.ts'
import { PERSISTENCE_PATH, SECTION_PATHS, sectionAt, type StoreSections } from './store-sections.ts'
import { inFile, parseText, type Written } from './written.ts'

/** `path` is absolute; `name` is how the operator wrote it. A file that cannot be read or parsed is a fault. */
export function readYamlFile(path: string, name: string): Source {
  try {
    return parseYaml(readFileSync(path, 'utf8'), name)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    return { found: [], faults: [{ where: name, problem: unreadable(code) }] }
  }
}

function unreadable(code: string): string {
  if (code === 'ENOENT') return 'expected the path of a YAML file, but there is no such file'
  if (code === 'EISDIR') return 'expected the path of a YAML file, but it is a folder'
  return `the configuration file cannot be read (${code})`
}

/** The settings in `text`; faults name the key path, `file` and the line. */
export function parseYaml(text: string, file: string): Source {
  const whole = parseText(text, inFile(file), 'YAML')
  if (Array.isArray(whole)) return { found: [], faults: whole }
  const reader = new Reader()
  reader.readGroup(whole)
  return reader
}

/** Walks the document; `found`, `sections` and `faults` grow in the order of the file. */
class Reader implements Source {
  readonly found: Found[] = []
  readonly faults: Fault[] = []
  readonly sections: StoreSections = {}

  /** A group without content, all of it commented out, sets nothing. */
  readGroup(group: Written): void {
    if (group.isNothing) return
    const { members, where } = group
    if (members === undefined)
      this.faults.push({ where, problem: expectedFound('a map of settings', group.value) })
    else for (const [, member] of members) this.#read(member)
  }

  #read(written: Written): void {
    const { path, where } = written
    const section = sectionAt(path)
    if (section === 'foreign') return
    if (section !== undefined) this.sections[section] = written
    else if (path === PERSISTENCE_PATH && written.isEmpty) this.sections.outputs = written
    else if (isSettingKey(path)) this.found.push({ key: path, where, value: written.value })
    else if (KNOWN_PATHS.some(known => known.startsWith(`${path}.`))) this.readGroup(written)
    else this.faults.push({ where, problem: `is not a known setting${didYouMean(path, KNOWN_NAMES)}` })
  }
}

const KNOWN_PATHS: readonly string[] = [...SETTING_KEYS, ...SECTION_PATHS]

/** With the groups, for what is misspelt. */
const KNOWN_NAMES = [...KNOWN_PATHS, ...new Set(KNOWN_PATHS.map(path => path.split('.', 1)[0]!))]

function isSettingKey(path: string): path is SettingKey {
  return (SETTING_KEYS as string[]).includes(path)
}
