// Settings from a YAML file: nested maps whose key paths are those of the table.
import { readFileSync } from 'node:fs'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import type { Document, Node, YAMLMap } from 'yaml'
import { didYouMean, expectedFound, type Fault } from './fault.ts'
import { SETTING_KEYS, type SettingKey } from './settings.ts'
import type { Found, Source } from './source.ts'

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
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const at = (offset: number) => `${file} line ${lines.linePos(offset).line}`
  if (document.errors.length > 0) {
    const faults = document.errors.map(error => ({
      where: at(error.pos[0]),
      problem: `is not valid YAML: ${error.message}`,
    }))
    return { found: [], faults }
  }
  const reader = new Reader(document, at)
  reader.readGroup(document.contents, '', file)
  return reader
}

/** Walks the document; `found` and `faults` grow in the order of the file. */
class Reader implements Source {
  readonly found: Found[] = []
  readonly faults: Fault[] = []
  readonly #document: Document
  readonly #at: (offset: number) => string

  constructor(document: Document, at: (offset: number) => string) {
    this.#document = document
    this.#at = at
  }

  /** `prefix` is '' or a key path with its last dot. A group without content, all of it commented out, sets nothing. */
  readGroup(node: Node | null, prefix: string, where: string): void {
    if (node === null || (isScalar(node) && node.value === null)) return
    if (isMap(node)) this.#readPairs(node, prefix)
    else this.faults.push({ where, problem: expectedFound('a map of settings', this.#valueOf(node)) })
  }

  #readPairs(map: YAMLMap, prefix: string): void {
    for (const { key, value } of map.items as { key: Node; value: Node | null }[]) {
      const path = prefix + String(this.#valueOf(key))
      const where = `${path} (${this.#at(key.range?.[0] ?? 0)})`
      if (isSettingKey(path)) this.found.push({ key: path, where, value: this.#valueOf(value) })
      else if (SETTING_KEYS.some(known => known.startsWith(`${path}.`)))
        this.readGroup(value, `${path}.`, where)
      else this.faults.push({ where, problem: `is not a known setting${didYouMean(path, SETTING_KEYS)}` })
    }
  }

  #valueOf(node: Node | null): unknown {
    return node === null ? null : node.toJS(this.#document)
  }
}

function isSettingKey(path: string): path is SettingKey {
  return (SETTING_KEYS as string[]).includes(path)
}
