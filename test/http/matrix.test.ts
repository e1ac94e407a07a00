// Every operation of the API description, in every way of recognising callers, with credentials of every sort: what each leads to. A new operation needs a rule before it passes.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endpointsOf, parseDescription } from '../../src/http/description.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask, type Answer } from '../support/client.ts'
import { description, startService, type Service } from '../support/service.ts'
import { Uploading } from '../support/uploading.ts'
import {
  forwardMode,
  jwtMode,
  linksMode,
  openModes,
  SORTS,
  tokensMode,
  type Mode,
  type Outcome,
} from './matrix-modes.ts'
import {
  asked,
  cellOf,
  CONTENT,
  FILES,
  OTHER_RUN,
  OTHER_UUID,
  RULES,
  RUN,
  UUID,
  type Cell,
  type Rule,
} from './matrix-rules.ts'

const endpoints = endpointsOf(parseDescription(description))

/** The rules of an operation; HEAD has those of GET at its path. */
function rulesOf(operationId: string, method: string, path: string): readonly Rule[] | undefined {
  const id =
    method === 'head' && RULES[operationId] === undefined
      ? endpoints.find(other => other.path === path && other.method === 'get')?.operation.operationId
      : operationId
  const rules = id === undefined ? undefined : RULES[id]
  return rules === undefined ? undefined : Array.isArray(rules) ? rules : [rules as Rule]
}

const cells: readonly Cell[] = endpoints.flatMap(({ operation: { operationId }, method, path }) =>
  (rulesOf(operationId, method, path) ?? []).map(rule =>
    cellOf(operationId, method.toUpperCase(), path, rule),
  ),
)

describe('the rules', () => {
  it('say of every operation what it takes, and of none that is not there', () => {
    const without = endpoints.filter(
      ({ operation, method, path }) => rulesOf(operation.operationId, method, path) === undefined,
    )
    expect(without.map(({ method, path }) => `${method} ${path}`)).toEqual([])
    const known = endpoints.map(({ operation }) => operation.operationId)
    expect(Object.keys(RULES).filter(id => !known.includes(id))).toEqual([])
  })

  it('let a link stand for operations that take a signature, and for no others', () => {
    const signed = endpoints.filter(({ parameters }) => parameters.some(({ name }) => name === 'signature'))
    const linkable = cells.filter(({ rule }) => rule.linkable === true)
    expect(new Set(signed.map(({ operation }) => operation.operationId))).toEqual(
      new Set(linkable.map(({ operationId }) => operationId)),
    )
  })
})

let folder: string
let store: CountingStore
let logs: MemoryStore
/** For whoever asks, over the same store, and over one without any run. */
let open: Service
let empty: Service
let absent: ReadonlyMap<Cell, number>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'matrix-'))
  store = new CountingStore()
  logs = new MemoryStore()
  for (const run of [RUN, OTHER_RUN]) logs.write(parsePath(run), Buffer.from(`${CONTENT} log`))
  open = await startService('', {}, store)
  empty = await startService('', withLinks(), new CountingStore(), { logs: new MemoryStore() })
  const reads = cells.filter(({ rule: { needs } }) => needs === 'read' || needs === 'level')
  absent = new Map(
    await Promise.all(reads.map(async cell => [cell, (await send(empty, cell)).status] as const)),
  )
})
afterAll(async () => {
  await Promise.all([open.close(), empty.close()])
  rmSync(folder, { recursive: true })
})

/** With keys for links, which all ways of recognising callers may have beside them. */
function withLinks(overrides: Mode['overrides'] = {}): Mode['overrides'] {
  const keysFile = join(folder, 'keys.yaml')
  writeFileSync(keysFile, `keys: [{id: any, secret: '${randomBytes(32).toString('base64')}'}]`)
  return { ...overrides, auth: { links: { keysFile, maxAgeMs: 3_600_000 }, ...overrides.auth } }
}

function fill(): void {
  for (const run of [RUN, UUID, OTHER_RUN, OTHER_UUID]) {
    for (const file of FILES) store.write(parsePath(`${run}/${file}`), Buffer.from(`${CONTENT} of ${file}`))
    const events = `step|timestamp|metric\n1|${CONTENT}|0.5\n`
    for (const kind of ['events/metric', 'resources/metric'])
      store.write(parsePath(`${run}/${kind}/loss.plx`), Buffer.from(events))
  }
}

/** What is there of the run, as text. */
async function contentOf(run: string): Promise<string> {
  const { text } = await ask(`${open.url}/outputs/${run}/?format=text&recursive=true`)
  return text
}

function send(service: Service, cell: Cell, headers = {}, url = cell.url): Promise<Answer> {
  const request = asked(cell)
  return ask(service.url + url, { ...request, headers: { ...request.headers, ...headers } })
}

/** The URL of an upload that somebody has begun. */
async function beginUpload(): Promise<string> {
  const { headers } = await new Uploading(ask, `${open.url}/uploads`).create(
    3,
    { path: `${RUN}/resumed.txt` },
    { 'tus-resumable': '1.0.0' },
  )
  return String(headers.location).replace(/^.*\//, '')
}

const STATUSES: Readonly<Record<Exclude<Outcome, 'hidden'>, (status: number) => boolean>> = {
  ok: status => status < 400,
  unknown: status => status === 401,
  forbidden: status => status === 403,
  unavailable: status => status === 503,
  refused: status => status === 403 || status === 400,
}

/** What is wrong with an answer, if anything is. */
function faultOf(cell: Cell, outcome: Outcome, { status, headers, text }: Answer): string | undefined {
  const { needs } = cell.rule
  const isRead = needs === 'read' || needs === 'level'
  const isAsExpected =
    outcome === 'hidden' ? status === (isRead ? absent.get(cell) : 404) : STATUSES[outcome](status)
  if (!isAsExpected) return `${outcome} is ${status}: ${text.slice(0, 200)}`
  if (outcome === 'ok') return undefined
  const said = JSON.stringify(headers) + text
  if (said.includes(CONTENT) || said.includes('only-there'))
    return 'the answer has something of the run in it'
  return undefined
}

async function tryAll(service: Service, mode: Mode, sort: (typeof SORTS)[number]): Promise<string[]> {
  const faults: string[] = []
  for (const given of cells) {
    const id = given.url.includes('{upload}') ? await beginUpload() : ''
    const cell = { ...given, url: given.url.replace('{upload}', id) }
    const { headers, url } = mode.show(sort, cell)
    const outcome = mode.expected(sort, given)
    fill()
    const changes = outcome === 'ok' || id !== '' ? undefined : await contentOf(RUN)
    const answer = await send(service, cell, headers, url)
    const isList = sort === 'narrow' && mode.tellsApart && given.rule.hides !== undefined
    const fault =
      faultOf(given, outcome, answer) ??
      (changes !== undefined && changes !== (await contentOf(RUN)) ? 'something was changed' : undefined) ??
      (isList && answer.text.includes(given.rule.hides) ? 'the list shows the run' : undefined)
    if (fault !== undefined) faults.push(`${cell.operationId} ${cell.method} ${url ?? cell.url}: ${fault}`)
  }
  return faults
}

describe.each<[string, () => Promise<Mode> | Mode]>([
  ['none, on loopback', () => openModes()[0]!],
  ['none, for others', () => openModes()[1]!],
  ['tokens', () => tokensMode(folder)],
  ['jwt', () => jwtMode()],
  ['forward', () => forwardMode(false)],
  ['forward, to nobody', () => forwardMode(true)],
  ['links', () => linksMode(folder)],
])('every operation by %s', (_name, start) => {
  let mode: Mode
  let service: Service
  beforeAll(async () => {
    mode = await start()
    service = await startService('', withLinks(mode.overrides), store, { logs })
  })
  afterAll(async () => {
    await service.close()
    await mode.close?.()
  })

  it.each(SORTS)('with %s credentials', async sort => {
    expect(await tryAll(service, mode, sort)).toEqual([])
  })
})
