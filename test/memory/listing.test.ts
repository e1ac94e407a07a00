// Folders of 200,000 files: a page costs what is on it, and a whole list what is under way of it.
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Connection } from '../faults/connection.ts'
import { OutputsFolder, RUN_URL } from '../faults/outputs-folder.ts'
import { ask, json } from '../support/client.ts'
import { hasProc, loggedFailures, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'

const COUNT = 200_000
const FOLDERS = 500
const FRESH_PROCESSES = 3
/** Where every entry has to be looked at: the names of one folder are sorted in memory, and the rest is the collector's. */
const MAX_OF_ALL = 200 * MiB

interface Listing {
  readonly entries: readonly { readonly name: string; readonly path: string; readonly size: number | null }[]
  readonly totals?: { readonly files: number; readonly directories: number; readonly complete: boolean }
  readonly next?: { readonly href: string }
}

const folder = new OutputsFolder()

function touch(path: string): void {
  closeSync(openSync(folder.at(path), 'w'))
}

const nameOf = (i: number): string => `checkpoint-${String(i).padStart(7, '0')}.bin`

beforeAll(() => {
  // The service looks for examples in the first run when it starts, which must not be the one that is measured.
  mkdirSync(join(folder.root, 'aaa', 'first', 'experiments', '1'), { recursive: true })
  writeFileSync(join(folder.root, 'aaa', 'first', 'experiments', '1', 'file.txt'), 'content')
  for (const name of ['flat', 'nested', 'warm']) mkdirSync(folder.at(name))
  for (let i = 0; i < COUNT; i++) touch(`flat/${nameOf(i)}`)
  for (let i = 0; i < FOLDERS; i++) {
    mkdirSync(folder.at(`nested/${i}`))
    for (let j = 0; j < COUNT / FOLDERS - 1; j++) touch(`nested/${i}/step-${j}.txt`)
  }
  for (let i = 0; i < 2000; i++) touch(`warm/${nameOf(i)}`)
  truncateSync(folder.at(`flat/${nameOf(123_456)}`), 5_000_000)
  truncateSync(folder.at(`flat/${nameOf(7)}`), 4_000_000)
}, 120_000)
afterAll(() => folder.remove())

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

interface Cost {
  readonly ms: number
  readonly growth: number
}

/** What `target` costs a process that has warmed up on a small folder; the median of several fresh ones where the timing of the collector matters. */
async function costOf(target: string, check: (listing: Listing) => void, processes = 1): Promise<Cost> {
  const costs: Cost[] = []
  for (let i = 0; i < processes; i++) {
    const service = await startProcess(folder.root)
    try {
      const warmUp = target.replace(/^\w+/, 'warm')
      for (let turn = 0; turn < 5; turn++) await ask(service.url + RUN_URL + warmUp)
      const idle = service.memory().resident
      service.resetPeak()
      const askedAt = performance.now()
      const answer = await ask(service.url + RUN_URL + target)
      const ms = performance.now() - askedAt
      costs.push({ ms, growth: service.memory().peak - idle })
      expect(answer.status).toBe(200)
      check(json(answer) as Listing)
    } finally {
      await service.destroy()
    }
  }
  const cost = { ms: median(costs.map(({ ms }) => ms)), growth: median(costs.map(({ growth }) => growth)) }
  console.log(`${target}: ${Math.round(cost.ms)} ms, ${Math.round(cost.growth / MiB)} MiB`)
  return cost
}

describe.skipIf(!hasProc)('measuring memory in /proc (Linux only)', () => {
  it('gives the first page of 200,000 files within a second and 30 MiB', async () => {
    const { ms, growth } = await costOf(
      'flat/?format=json',
      ({ entries, next }) => {
        expect(entries.map(entry => entry.name)).toEqual(Array.from({ length: 1000 }, (_, i) => nameOf(i)))
        expect(next).toBeDefined()
      },
      FRESH_PROCESSES,
    )
    expect(ms).toBeLessThan(1000)
    expect(growth).toBeLessThan(30 * MiB)
  }, 120_000)

  it('gives a page in the middle within a second and 30 MiB', async () => {
    const cursor = Buffer.from(JSON.stringify(['name', 'asc', 0, nameOf(150_000)])).toString('base64url')
    const { ms, growth } = await costOf(
      `flat/?format=json&limit=100&cursor=${cursor}`,
      ({ entries }) => {
        expect(entries[0]?.name).toBe(nameOf(150_001))
        expect(entries.length).toBe(100)
      },
      FRESH_PROCESSES,
    )
    expect(ms).toBeLessThan(1000)
    expect(growth).toBeLessThan(30 * MiB)
  }, 120_000)

  it('finds the largest of 200,000 files with the memory of a page', async () => {
    const { growth } = await costOf('flat/?format=json&sort=size&order=desc&limit=3', ({ entries }) => {
      expect(entries.map(({ size }) => size)).toEqual([5_000_000, 4_000_000, 0])
    })
    expect(growth).toBeLessThan(MAX_OF_ALL)
  }, 120_000)

  describe('streaming every entry', () => {
    let service: ServiceProcess
    beforeEach(async () => {
      service = await startProcess(folder.root)
      await ask(`${service.url}${RUN_URL}warm/?format=ndjson`)
    })
    afterEach(async () => {
      await service.destroy()
    })

    it.each([
      ['flat', 'flat/?format=ndjson', COUNT, 0],
      ['nested', 'nested/?format=ndjson&recursive=true', COUNT - FOLDERS, FOLDERS],
    ])(
      'lists 200,000 %s entries as NDJSON, each once, and ends with the summary',
      async (_what, target, files, directories) => {
        const idle = service.memory().resident
        service.resetPeak()
        const { text, complete } = await ask(service.url + RUN_URL + target)
        const growth = service.memory().peak - idle
        console.log(`${target}: ${Math.round(growth / MiB)} MiB`)
        expect(complete).toBe(true)
        const lines = text.trimEnd().split('\n')
        expect(JSON.parse(lines.pop()!)).toMatchObject({ summary: { files, directories, complete: true } })
        const paths = lines.map(line => (JSON.parse(line) as { path: string }).path)
        expect(paths.length).toBe(files + directories)
        expect(new Set(paths).size).toBe(paths.length)
        expect(growth).toBeLessThan(MAX_OF_ALL)
      },
    )

    it('waits for a reader that stops, and goes on when it reads again', async () => {
      const client = await Connection.get(service.port, `${RUN_URL}flat/?format=ndjson`)
      expect((await client.head()).status).toBe(200)
      await client.skip(1)
      await new Promise(resolve => setTimeout(resolve, 1500))
      const { resident } = service.memory()
      await new Promise(resolve => setTimeout(resolve, 2000))
      expect(service.memory().resident - resident).toBeLessThan(5 * MiB)
      const last = await lastBytes(client)
      expect(last).toMatch(/"summary":\{"files":200000,.*"complete":true\}\}\n\r\n0\r\n\r\n$/)
    })
  })

  it('counts 200,000 nested entries on the first recursive page', async () => {
    const { growth } = await costOf('nested/?format=json&recursive=true&limit=10', ({ entries, totals }) => {
      expect(entries.length).toBe(10)
      expect((totals?.files ?? 0) + (totals?.directories ?? 0)).toBe(COUNT)
    })
    expect(growth).toBeLessThan(MAX_OF_ALL)
  }, 120_000)

  it('shows every page of a large folder once, by following the links', async () => {
    const service = await startProcess(folder.root)
    try {
      const base = `${service.url}${RUN_URL}flat/`
      const seen: string[] = []
      let href: string | undefined = '?format=json&limit=10000'
      while (href !== undefined) {
        const page = json(await ask(new URL(href, base).href)) as Listing
        seen.push(...page.entries.map(({ name }) => name))
        href = page.next?.href
      }
      expect(seen.length).toBe(COUNT)
      expect(new Set(seen).size).toBe(COUNT)
      expect(loggedFailures(service)).toEqual([])
    } finally {
      await service.destroy()
    }
  }, 120_000)
})

/** The end of a message on a connection that stays open. */
async function lastBytes(client: Connection): Promise<string> {
  let last = ''
  for (let chunk = await client.take(); chunk !== undefined; chunk = await client.take()) {
    last = (last + chunk.toString('latin1')).slice(-400)
    if (last.endsWith('\r\n0\r\n\r\n')) break
  }
  client.destroy()
  return last
}
