// Starting: the sample, the printed commands, and everything that keeps the service from starting.
import { execFile, spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'
import { endAll, launch, MAIN, printedUrl, temporaryFolder } from './launch.ts'

const work = temporaryFolder()
afterEach(endAll)
afterAll(() => work.remove())

function folder(name: string): string {
  const path = join(work.path, name)
  mkdirSync(path)
  return path
}

function programMissing(...command: string[]): boolean {
  return process.env['REQUIRE_TOOLS'] !== '1' && spawnSync(command[0]!, command.slice(1)).error !== undefined
}
const noCurl = programMissing('curl', '--version')
const noUnzip = programMissing('unzip', '-v')

describe('the first start in an empty folder', () => {
  let cwd: string
  beforeAll(() => (cwd = folder('first')))

  /** Runs a printed command as a shell would, in `cwd`. */
  const paste = (command: string) =>
    promisify(execFile)('sh', ['-c', command], { cwd, encoding: 'buffer', maxBuffer: 1 << 28 })

  it.skipIf(noCurl || noUnzip)(
    'prints three curl commands that work when pasted (needs curl and unzip)',
    async () => {
      const service = launch({ cwd })
      await printedUrl(service)
      const [list, range, zip] = service.stdout().match(/(?<=^ {2})curl .*$/gm) as [string, string, string]
      const run = join(cwd, 'outputs', SAMPLE_EXPERIMENT)

      const listed = (await paste(list)).stdout.toString().trimEnd().split('\n')
      expect(listed.map(name => name.replace(/\/$/, '')).sort()).toEqual(readdirSync(run).sort())

      const [first, last] = /-r (\d+)-(\d+)/.exec(range)!.slice(1).map(Number) as [number, number]
      const model = readFileSync(join(run, SAMPLE_MODEL))
      expect((await paste(range)).stdout).toEqual(model.subarray(first, last + 1))
      expect(JSON.parse(model.toString('utf8', first, last + 1))).toHaveProperty('__metadata__')

      await paste(zip)
      const file = join(cwd, /-o (\S+)/.exec(zip)![1]!)
      const whole = readFileSync(file)
      truncateSync(file, 12_345_678)
      await paste(zip)
      expect(readFileSync(file).equals(whole)).toBe(true)
      await paste(
        `unzip -q '${file}' -d unpacked && diff -r unpacked/1 '${run}' || diff -r unpacked '${run}'`,
      )
    },
  )

  it('has made the sample, and a second start leaves it as it is', async () => {
    await printedUrl(launch({ cwd }))
    await endAll()
    const model = join(cwd, 'outputs', SAMPLE_EXPERIMENT, SAMPLE_MODEL)
    expect(existsSync(model)).toBe(true)
    writeFileSync(model, 'mine')
    const again = launch({ cwd })
    await printedUrl(again)
    expect(again.stdout()).not.toContain('new, with a small sample')
    expect(readFileSync(model, 'utf8')).toBe('mine')
  })
})

describe('the printed commands', () => {
  it('are about the runs of the store where it is not the sample', async () => {
    const cwd = folder('own')
    const run = join(cwd, 'data', 'ann', 'mnist', 'jobs', '5', 'a b')
    mkdirSync(run, { recursive: true })
    writeFileSync(join(run, 'x.txt'), 'hello')
    const service = launch({ cwd, env: { OUTPUTS_PATH: 'data', BASE_PATH: '/behind/a/proxy' } })
    const url = await printedUrl(service)
    expect(service.stdout()).toContain(`curl -r 0-4 '${url}/outputs/ann/mnist/jobs/5/a%20b/x.txt'`)
    expect(await (await fetch(`${url}/outputs/ann/mnist/jobs/5/a%20b/x.txt`)).text()).toBe('hello')
  })

  it('are general ones that work where the store is empty', async () => {
    const cwd = folder('empty')
    mkdirSync(join(cwd, 'outputs'))
    const service = launch({ cwd })
    await printedUrl(service)
    const urls = [...service.stdout().matchAll(/curl '(\S+)'/g)].map(match => match[1]!)
    expect(urls).toHaveLength(3)
    for (const url of urls) expect((await fetch(url)).status).toBe(200)
    expect(readdirSync(join(cwd, 'outputs'))).toEqual([])
  })

  it('may find nobody who reads them', async () => {
    const service = launch({ cwd: folder('unread'), env: { WORKERS: '1' } })
    service.closeStdout()
    const listening = (): boolean => service.stderr().includes('"listening"')
    while (!listening()) await new Promise(resolve => setTimeout(resolve, 20))
    const origin = /"origin":"([^"]+)"/.exec(service.stderr())![1]!
    await new Promise(resolve => setTimeout(resolve, 500))
    expect((await fetch(`${origin}/healthz`)).status).toBe(200)
  })
})

describe('a start that cannot be', () => {
  const store = folder('store')

  async function failure(options: {
    argv?: string[]
    env?: Record<string, string>
    cwd?: string
    nodeArgv?: string[]
  }) {
    const service = launch({ cwd: work.path, ...options })
    const { code } = await service.ended
    return { code, lines: service.stderr().trimEnd().split('\n'), stdout: service.stdout() }
  }

  it('ends with 78 and names a configured path that is missing, and does not make it', async () => {
    const path = join(work.path, 'missing')
    const { code, lines } = await failure({ env: { OUTPUTS_PATH: path } })
    expect(code).toBe(78)
    expect(lines.slice(1)).toEqual([
      `  OUTPUTS_PATH: expected the path of an existing folder, but '${path}' does not exist; it is never created`,
    ])
    expect(existsSync(path)).toBe(false)
  })

  it('ends with 78 for an address that others reach, unless that is wanted', async () => {
    const { code, lines } = await failure({ env: { OUTPUTS_PATH: store, HOST: '0.0.0.0' } })
    expect(code).toBe(78)
    expect(lines[1]).toMatch(/^ {2}HOST: '0\.0\.0\.0' can be reached .*ALLOW_UNAUTHENTICATED=true/)
    const wanted = launch({
      cwd: work.path,
      env: { OUTPUTS_PATH: store, HOST: '0.0.0.0', ALLOW_UNAUTHENTICATED: 'true' },
    })
    expect(await printedUrl(wanted)).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  })

  it('ends with 78 and a line for each of several faults', async () => {
    const { code, lines } = await failure({ env: { PORT: 'x', LOG_LEVEL: 'y' }, argv: ['--prot', '1'] })
    expect(code).toBe(78)
    expect(lines.slice(1).map(line => line.trim().split(':')[0])).toEqual(['--prot', 'PORT', 'LOG_LEVEL'])
  })

  it.each(['1', '2'])('ends with 1 and one line when the port is taken (WORKERS=%s)', async workers => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => other.once('listening', resolve))
    const { port } = other.address() as AddressInfo
    const { code, lines } = await failure({
      env: { OUTPUTS_PATH: store, PORT: String(port), WORKERS: workers },
    })
    other.close()
    expect(code).toBe(1)
    expect(lines).toEqual([
      `polyaxon-outputs cannot start: port ${port} of 127.0.0.1 is in use: stop what listens there, or set PORT (0 takes a free one).`,
    ])
  })

  it('ends with 1 and one line when the address is of another machine', async () => {
    // TEST-NET-1 (RFC 5737) is no machine's.
    const { code, lines } = await failure({
      env: { OUTPUTS_PATH: store, HOST: '192.0.2.1', ALLOW_UNAUTHENTICATED: 'true' },
    })
    expect([code, lines]).toEqual([
      1,
      ['polyaxon-outputs cannot start: 192.0.2.1 is not an address of this machine: set HOST.'],
    ])
  })

  it.skipIf(process.getuid?.() === 0)(
    'ends with 1 and one line when the default folder may not be made (not as root)',
    async () => {
      const cwd = folder('read-only')
      chmodSync(cwd, 0o555)
      const { code, lines } = await failure({ cwd })
      expect(code).toBe(1)
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain('cannot be made (EACCES): set OUTPUTS_PATH')
    },
  )

  it('ends with 1 and one line on an older Node, before it loads anything', async () => {
    const older = "Object.defineProperty(process.versions, 'node', { value: '20.20.2' })"
    const { code, lines } = await failure({
      nodeArgv: ['--import', `data:text/javascript,${encodeURIComponent(older)}`],
    })
    expect(code).toBe(1)
    expect(lines).toEqual([
      expect.stringMatching(/^polyaxon-outputs needs Node\.js 24 or newer, but this is 20\.20\.2 /),
    ])
  })

  const oldNode = findOldNode()
  it.skipIf(oldNode === undefined && process.env['REQUIRE_TOOLS'] !== '1')(
    'ends so too when it is built and a real older Node runs it (needs a Node below 24 on PATH)',
    async () => {
      const main = join(folder('built'), 'main.js')
      writeFileSync(join(work.path, 'built', 'package.json'), '{"type":"module"}')
      const compilerOptions = {
        target: ts.ScriptTarget.ES2024,
        module: ts.ModuleKind.NodeNext,
        rewriteRelativeImportExtensions: true,
      }
      writeFileSync(
        main,
        ts.transpileModule(readFileSync(MAIN, 'utf8'), { compilerOptions, fileName: 'main.mts' }).outputText,
      )
      const service = launch({ cwd: work.path, node: oldNode!, main })
      expect((await service.ended).code).toBe(1)
      expect(service.stderr()).toMatch(
        /^polyaxon-outputs needs Node\.js 24 or newer, but this is [0-9.]+ .*\n$/,
      )
    },
  )

  it('is none when only help or the version is asked for', async () => {
    const help = await failure({ argv: ['--help'], env: { PORT: 'x' } })
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('OUTPUTS_PATH')])
    const version = await failure({ argv: ['--version'] })
    const { version: expected } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string }
    expect([version.code, version.stdout]).toEqual([0, `${expected}\n`])
  })
})

function findOldNode(): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map(directory => join(directory, 'node'))
    .find(path => {
      try {
        accessSync(path)
        return (
          Number.parseInt(spawnSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout) < 24
        )
      } catch {
        return false
      }
    })
}

it('logs the effective configuration where debug messages are wanted', async () => {
  const cwd = folder('debug')
  await makeSample(join(cwd, 'data'))
  const service = launch({ cwd, env: { OUTPUTS_PATH: 'data', LOG_LEVEL: 'debug', DRAIN_TIMEOUT: '7s' } })
  await printedUrl(service)
  const lines = service
    .stderr()
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  expect(lines.find(line => line['msg'] === 'effective configuration')).toMatchObject({
    config: { server: { drainTimeoutMs: 7000 }, connections: [{ path: join(cwd, 'data') }] },
  })
})

it('takes a URL that names the events of very many runs', async () => {
  const service = launch({ cwd: folder('long-urls') })
  const url = `${await printedUrl(service)}/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=`
  const runs = Array.from({ length: 1500 }, (_, i) => i.toString(16).padStart(32, '0'))
  const answer = await fetch(url + runs.join())
  expect(answer.status).toBe(200)
  const { data } = (await answer.json()) as { data: object }
  expect(Object.keys(data)).toEqual(runs)
  expect((await fetch(url + 'x'.repeat(70_000))).status).toBe(431)
})
