// The service as it is run in production: a process of its own, started from src/main.ts, and looked at through /proc.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What `npm start` runs: the flags of Node, then the program. */
const START = startCommand()
const START_MS = 30_000
const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB

/** Memory and descriptors are read from Linux's /proc. */
export const hasProc = process.platform === 'linux'

export interface Memory {
  /** Bytes of resident memory now. */
  readonly resident: number
  /** Bytes of resident memory at its highest since the start or the last `resetPeak`. */
  readonly peak: number
}

export interface Ending {
  /** Null when a signal ended the process. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServiceProcess {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** What it has written to standard error: its log. */
  log(): string
  memory(): Memory
  /** Makes `peak` begin anew at what is resident now. */
  resetPeak(): void
  /** What the open descriptors lead to, such as `socket:[4711]` or the path of a file. */
  descriptors(): string[]
  /** The ids of its direct children: the workers. */
  children(): number[]
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<Ending>
  /** Ends it at once, however it stands. */
  destroy(): Promise<void>
}

export interface ProcessOptions {
  /** Settings by environment variable, on top of a free port and a silent log. */
  readonly env?: Readonly<Record<string, string>>
  /** Limit on open descriptors: the hard one too, since Node raises the soft one to it. */
  readonly maxDescriptors?: number
}

/** Starts the service over the folder `path`; resolves when it has printed its address. */
export async function startProcess(path: string, options: ProcessOptions = {}): Promise<ServiceProcess> {
  const command = [process.execPath, ...START]
  if (options.maxDescriptors !== undefined)
    command.unshift('sh', '-c', `ulimit -n ${options.maxDescriptors} && exec "$@"`, 'sh')
  const child = spawn(command[0]!, command.slice(1), {
    env: { ...inherited(), OUTPUTS_PATH: path, PORT: '0', LOG_LEVEL: 'warn', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const killChild = (): void => void child.kill('SIGKILL')
  process.once('exit', killChild)
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const ended = new Promise<Ending>(resolve =>
    child.once('close', (code, signal) => {
      process.off('exit', killChild)
      resolve({ code, signal })
    }),
  )
  const destroy = async (): Promise<void> => {
    killChild()
    await ended
  }
  try {
    const port = await printedPort(child.stdout.setEncoding('utf8'), ended)
    const pid = child.pid!
    return {
      url: `http://127.0.0.1:${port}`,
      port,
      pid,
      log: () => log,
      memory: () => readMemory(pid),
      // Linux proc_pid_clear_refs(5): 5 resets the peak of the resident set.
      resetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
      descriptors: () => readDescriptors(pid),
      children: () => readChildren(pid),
      kill: signal => void child.kill(signal),
      ended,
      destroy,
    }
  } catch (error) {
    await destroy()
    throw new Error(`The service did not start. Its log:\n${log}`, { cause: error })
  }
}

function startCommand(): string[] {
  const folder = new URL('../../', import.meta.url)
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as {
    scripts: { start: string }
  }
  const words = scripts.start.split(' ')
  const program = words.pop()!
  return [...words.slice(words.indexOf('node') + 1), fileURLToPath(new URL(program, folder))]
}

/** Settings of the machine that runs the tests must not reach the service. */
function inherited(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
}

function printedPort(output: AsyncIterable<string>, ended: Promise<Ending>): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`It printed no address in ${START_MS} ms.`)), START_MS)
    void ended.then(({ code, signal }) => reject(new Error(`It ended with ${code ?? signal}.`)))
    let text = ''
    const read = async (): Promise<void> => {
      // To the end, so that a full pipe never stops the service.
      for await (const piece of output) {
        text += piece
        const port = /^at http:\/\/127\.0\.0\.1:(\d+)\//m.exec(text)?.[1]
        if (port === undefined) continue
        clearTimeout(timer)
        resolve(Number(port))
      }
    }
    read().catch(reject)
  })
}

/** What the service has logged as warning or worse, each kind once: its message and the error behind it. */
export function loggedFailures(service: ServiceProcess): string[] {
  const lines = service
    .log()
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as { msg: string; err?: { message: string } })
  return [...new Set(lines.map(({ msg, err }) => (err === undefined ? msg : `${msg} (${err.message})`)))]
}

function readMemory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string): number =>
    KiB * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? NaN)
  return { resident: bytes('VmRSS'), peak: bytes('VmHWM') }
}

function readDescriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap(descriptor => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)]
    } catch {
      // Closed since the folder was read.
      return []
    }
  })
}

function readChildren(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
}

/** Resolves when `condition` holds, asked again every few milliseconds; fails with what `describe` says when it never does. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  {
    withinMs = 10_000,
    describe = () => 'it never came true',
  }: { withinMs?: number; describe?: () => string } = {},
): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`after ${withinMs} ms: ${describe()}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
