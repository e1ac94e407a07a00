// Starts src/main.ts as an operator would, in a folder of its own, and keeps all that it prints.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../support/process.ts'

export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface Launched {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  kill(signal: NodeJS.Signals): void
  /** Stops reading what it prints: its standard output is then a closed pipe. */
  closeStdout(): void
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

export interface LaunchOptions {
  readonly cwd: string
  readonly argv?: readonly string[]
  /** On top of PORT=0 and nothing else. */
  readonly env?: Readonly<Record<string, string>>
  /** Arguments of node itself. */
  readonly nodeArgv?: readonly string[]
  readonly node?: string
  readonly main?: string
}

const running = new Set<Launched>()

export function launch({
  cwd,
  argv = [],
  env = {},
  nodeArgv = [],
  node = process.execPath,
  main = MAIN,
}: LaunchOptions): Launched {
  const child = spawn(node, [...nodeArgv, main, ...argv], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const launched: Launched = {
    pid: child.pid!,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: signal => void child.kill(signal),
    closeStdout: () => void child.stdout.destroy(),
    ended: new Promise(resolve => {
      child.once('close', (code, signal) => {
        running.delete(launched)
        resolve({ code, signal })
      })
    }),
  }
  running.add(launched)
  return launched
}

/** The address that it prints, without a last slash, once the commands below it are there too. */
export async function printedUrl(launched: Launched): Promise<string> {
  let ended = false
  void launched.ended.then(() => (ended = true))
  const commands = (): number => launched.stdout().match(/^ {2}curl .*\n/gm)?.length ?? 0
  await until(() => commands() === 3 || ended, { withinMs: 30_000, describe: () => launched.stderr() })
  const url = /^at (http:\S+)\/outputs\/ /m.exec(launched.stdout())?.[1]
  if (url === undefined) throw new Error(`It did not start: ${launched.stderr()}`)
  return url
}

/** Ends whatever a test left running. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...running].map(launched => {
      launched.kill('SIGKILL')
      return launched.ended
    }),
  )
}

export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'start-')))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** The ids of its direct children, from Linux's /proc. */
export function workersOf(service: Launched): number[] {
  const children = readFileSync(`/proc/${service.pid}/task/${service.pid}/children`, 'utf8')
  return children.trim().split(' ').filter(Boolean).map(Number)
}

export function isAlive(pid: number): boolean {
  try {
    // A process that has ended but was not waited for is still there, as a zombie.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
