// Whether the aliases and merge keys of a YAML document can be followed: nobody may be left with less, or with more, than what is written.
import {
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Document,
  type Node,
  type Pair,
} from 'yaml'

export interface AliasMistake {
  /** Offset in the text. */
  readonly at: number
  /** Without a word of the text: what begins with an asterisk may be a password. */
  readonly problem: string
}

/** More than any configuration has, and little enough to be read in no time. */
const MOST_VALUES = 100_000

/** What keeps `document` from being read with its aliases in their places. */
export function aliasMistakes(document: Document): readonly AliasMistake[] {
  const mistakes: AliasMistake[] = []
  const sizes = new Map<Node, number>()
  const open = new Set<Node>()
  const mistake = (node: Node, problem: string): number => {
    mistakes.push({ at: node.range?.[0] ?? 0, problem })
    return 1
  }

  function sizeOf(node: Node | null): number {
    if (isAlias(node)) {
      const meant = node.resolve(document)
      if (meant === undefined) return mistake(node, NO_ANCHOR)
      return open.has(meant) ? mistake(node, CIRCLE) : sizeOf(meant)
    }
    if (!isCollection(node)) return 1
    const known = sizes.get(node)
    if (known !== undefined) return known
    open.add(node)
    const size = (node.items as (Node | null | Pair<Node, Node | null>)[])
      .map(item => (isPair(item) ? sizeOf(item.key) + sizeOf(item.value) : sizeOf(item)))
      .reduce((sum, one) => sum + one, 1)
    open.delete(node)
    sizes.set(node, size)
    for (const { key, value } of mergeKeysOf(node)) if (!isMergeable(value)) mistake(key, NO_MAP)
    return size
  }

  const meaning = (node: Node | null) => (isAlias(node) ? node.resolve(document) : node)
  // An alias that means nothing is a mistake of its own.
  const isMapOrNone = (node: Node | null) => meaning(node) === undefined || isMap(meaning(node))

  function isMergeable(value: Node | null): boolean {
    const meant = meaning(value)
    return isMapOrNone(value) || (isSeq(meant) && (meant.items as Node[]).every(isMapOrNone))
  }

  if (sizeOf(document.contents) > MOST_VALUES && mistakes.length === 0)
    mistakes.push({ at: 0, problem: TOO_MANY })
  return mistakes
}

const NO_ANCHOR =
  'has an alias without an anchor of its name before it: quote a text that begins with an asterisk'
const CIRCLE = 'has an alias inside of what it stands for'
const NO_MAP = 'has a merge key (<<) with something else than a map, or a list of maps'
const TOO_MANY = `has aliases that stand for more than ${MOST_VALUES} values together`

function mergeKeysOf(node: Node): readonly Pair<Node, Node | null>[] {
  return isMap(node) ? (node.items as Pair<Node, Node | null>[]).filter(isMergeKey) : []
}

/** `<<`, which the schema of a YAML file reads as a symbol; in quotes, and in JSON, it is a name like others. */
export function isMergeKey({ key }: Pair<Node, Node | null>): boolean {
  return isScalar(key) && typeof key.value === 'symbol'
}
