// The file of tokens: who holds one, known by its hash, and what that gives the right to.
import type { Config, RunKind } from './config.ts'
import type { Fault } from './fault.ts'
import { Fields } from './fields.ts'
import {
  kindPattern,
  kindsCovered,
  kindsMissed,
  namePattern,
  RIGHTS,
  SCOPE_FIELDS,
  type Grant,
  type Right,
  type Scope,
} from './grant.ts'
import { boolean, oneOf, type ValueType } from './value.ts'
import { inFile, parseText, type Written } from './written.ts'

export interface TokenEntry {
  /** Of whoever holds the token: for the log. */
  readonly name: string
  /** Of the token's UTF-8 bytes, as lower-case hexadecimal digits. */
  readonly sha256: string
  /** From then on it is worth nothing; Infinity where that never comes. */
  readonly expiresMs: number
  readonly seesMetrics: boolean
  readonly grants: readonly Grant[]
}

export interface TokensRead {
  /** Of use only where there are no faults. */
  readonly tokens: readonly TokenEntry[]
  readonly faults: readonly Fault[]
  /** What is not as somebody may think: each a sentence, its place first. */
  readonly warnings: readonly string[]
}

/** What scopes are about. */
export interface Served {
  readonly layouts: Config['layouts']
  /** Names of the connections. */
  readonly connections: readonly string[]
}

/** `file` is how the operator calls it. */
export function parseTokens(text: string, file: string, served: Served): TokensRead {
  const whole = parseText(text, inFile(file), 'YAML')
  if (Array.isArray(whole)) return { tokens: [], faults: whole, warnings: [] }
  const reader = new Reader(served)
  const tokens = reader.readAll(whole)
  return { tokens, faults: reader.faults, warnings: [...reader.warnings, ...reader.missedWarning(file)] }
}

/** Names are logged, so they hold nothing that has to be escaped. */
const tokenName: ValueType<string> = {
  name: 'name',
  expected: "a name of at most 100 letters, digits, '.', '_', '-' and '@'",
  parse: found => (typeof found === 'string' && /^[A-Za-z0-9._@-]{1,100}$/.test(found) ? found : undefined),
  format: String,
}

const sha256: ValueType<string> = {
  name: 'hash',
  expected: "the 64 hexadecimal digits of the token's SHA-256",
  isConfidential: true,
  parse: found =>
    typeof found === 'string' && /^[0-9a-f]{64}$/i.test(found) ? found.toLowerCase() : undefined,
  format: String,
}

/** What a command prints whose variable was empty, without and with a line end. */
const HASHES_OF_NOTHING: readonly string[] = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b',
]

/** Milliseconds since 1970. A day alone is its beginning in UTC. */
const moment: ValueType<number> = {
  name: 'date',
  expected: 'a day such as 2027-03-31, or a time with its zone such as 2027-03-31T18:00:00Z',
  parse: found => {
    if (typeof found !== 'string') return undefined
    const [, day, time] =
      /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})))?$/.exec(found) ??
      []
    if (day === undefined) return undefined
    const midnight = Date.parse(`${day}T00:00:00Z`)
    // Date takes the 31st of February for the 3rd of March.
    if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(day)) return undefined
    const ms = time === undefined ? midnight : Date.parse(`${day}T${time}`)
    return Number.isNaN(ms) ? undefined : ms
  },
  format: ms => new Date(ms).toISOString(),
}

const right: ValueType<Right> = oneOf(RIGHTS)

class Reader {
  readonly faults: Fault[] = []
  readonly warnings: string[] = []
  readonly #served: Served
  /** Kinds that scopes name and cover nothing of, and where those scopes are. */
  readonly #missed = new Set<RunKind>()
  readonly #missedBy: string[] = []

  constructor(served: Served) {
    this.#served = served
  }

  readAll(whole: Written): readonly TokenEntry[] {
    const fields = new Fields(whole, 'a file of tokens', ['tokens'], this.faults)
    if (!fields.isMap) return []
    const elements = fields.written('tokens')?.elements
    // A file that was cut off must not pass for one that names nobody.
    if (elements === undefined) {
      fields.fault('tokens', 'expected a list of tokens, which is [] where there are none')
      return []
    }
    const places = { name: new Map<string, string>(), sha256: new Map<string, string>() }
    return elements.flatMap(element => this.#readToken(element, places) ?? [])
  }

  #readToken(
    written: Written,
    places: Readonly<Record<'name' | 'sha256', Map<string, string>>>,
  ): TokenEntry | undefined {
    const fields = this.#fields(written, 'a token', [
      'name',
      'sha256',
      'expires',
      'rights',
      'metrics',
      'scopes',
    ])
    if (!fields.isMap) return undefined
    const name = fields.required('name', tokenName)
    const hash = fields.required('sha256', sha256)
    if (hash !== undefined && HASHES_OF_NOTHING.includes(hash))
      fields.fault('sha256', 'is the hash of an empty text, and of no token')
    for (const [field, value] of [['name', name] as const, ['sha256', hash] as const]) {
      if (value === undefined) continue
      const other = places[field].get(value)
      if (other === undefined) places[field].set(value, written.path)
      else fields.fault(field, `is that of ${other} too, and each token has its own`)
    }
    const expiresMs = fields.value('expires', moment) ?? Infinity
    const seesMetrics = fields.value('metrics', boolean) ?? false
    const rights = this.#rights(fields)
    const scopes = this.#scopes(fields, seesMetrics)
    if (name === undefined || hash === undefined) return undefined
    const grants = scopes.length === 0 ? [] : [{ rights, scopes }]
    return { name, sha256: hash, expiresMs, seesMetrics, grants }
  }

  #rights(fields: Fields): readonly Right[] {
    const written = fields.written('rights')
    if (written === undefined) return ['read']
    const rights = (written.elements ?? []).map(element => right.parse(element.scalar))
    if (rights.length === 0 || rights.includes(undefined))
      fields.fault('rights', `expected a list of ${RIGHTS.join(', ')}, at least one of them`)
    return rights.filter(each => each !== undefined)
  }

  /** To leave them out would be the shortest way to write a token for everything, and the one that happens by mistake. */
  #scopes(fields: Fields, seesMetrics: boolean): readonly Scope[] {
    const written = fields.written('scopes')
    if (written === undefined && seesMetrics && !fields.has('rights')) return []
    if (written?.elements === undefined || written.elements.length === 0) {
      fields.fault(
        'scopes',
        'expected a list of what the token is for, such as [{owner: ann}], or [{}] for everything',
      )
      return []
    }
    return written.elements.flatMap(element => this.#readScope(element) ?? [])
  }

  #readScope(written: Written): Scope | undefined {
    const fields = this.#fields(written, 'a scope', SCOPE_FIELDS)
    if (!fields.isMap) return undefined
    const pattern = (field: keyof Scope): string => fields.value(field, namePattern) ?? '*'
    const scope: Scope = {
      connection: pattern('connection'),
      owner: pattern('owner'),
      project: pattern('project'),
      kind: fields.value('kind', kindPattern) ?? '*',
      run: pattern('run'),
    }
    this.#warn(scope, written)
    return scope
  }

  #warn(scope: Scope, { where, path }: Written): void {
    const { layouts, connections } = this.#served
    const { connection, kind } = scope
    const missed = kindsMissed(scope, layouts)
    if (!connection.includes('*') && !connections.includes(connection))
      this.warnings.push(`${where}: covers nothing, because no connection is called '${connection}'`)
    else if (kindsCovered(scope, layouts).length === 0)
      this.warnings.push(
        `${where}: covers nothing, because ${kind === '*' ? 'no layout says' : `layouts.${kind} does not say`} whose a run is: name runs rather than owners and projects`,
      )
    else if (missed.length > 0) {
      this.#missedBy.push(path)
      for (const each of missed) this.#missed.add(each)
    }
  }

  /** One for all of them: with the layouts of all generations, every scope with an owner is such a one. */
  missedWarning(file: string): string[] {
    if (this.#missedBy.length === 0) return []
    const layouts = [...this.#missed].map(kind => `layouts.${kind}`).join(', ')
    const shown = this.#missedBy.slice(0, MOST_PLACES).join(', ')
    const more = this.#missedBy.length > MOST_PLACES ? ' …' : ''
    return [
      `${file}: scopes that name owners or projects cover no run whose folder does not have these names in it, which is so by ${layouts} (${shown}${more})`,
    ]
  }

  /** A field without a value, as a template with an empty variable leaves it, must not pass for one that is left out: that gives more. */
  #fields(written: Written, called: string, known: readonly string[]): Fields {
    for (const [, member] of written.members ?? [])
      if (member.isNothing)
        this.faults.push({ where: member.where, problem: 'expected a value, found nothing' })
    return new Fields(written, called, known, this.faults)
  }
}

const MOST_PLACES = 5
