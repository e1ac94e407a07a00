// Runs a real client and collects what it says.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createWriteStream } from 'node:fs'

export interface RunOptions {
  readonly cwd?: string
  readonly timeoutMs?: number
  /** On top of the environment that all clients get. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Finished {
  /** The exit code; a client that was killed by a signal has none. */
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** The same answers in every locale, with file names as UTF-8, and no proxy or configuration of the machine's user. */
export function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/_proxy$/i.test(name))
  return { ...Object.fromEntries(kept), LC_ALL: 'C.UTF-8', NO_PROXY: '*', RCLONE_CONFIG: '/dev/null' }
}

function start(program: string, args: readonly string[], options: RunOptions): ChildProcess {
  return spawn(program, args, {
    cwd: options.cwd,
    env: { ...environment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  })
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })

/** Runs to the end. A client that takes too long is killed, so its code is null. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const child = start(program, args, options)
  const [code, stdout, stderr] = await Promise.all([ended(child), buffer(child.stdout!), text(child.stderr!)])
  return { code, stdout, stderr }
}

/** Saves exactly the first `bytes` of what the client writes to its standard output, then kills it as a lost connection would. */
export async function runAndCut(
  program: string,
  args: readonly string[],
  saveTo: string,
  bytes: number,
): Promise<void> {
  const child = start(program, args, {})
  const over = ended(child)
  child.stderr!.resume()
  await pipeline(child.stdout!, firstBytes(bytes), createWriteStream(saveTo))
  child.kill('SIGKILL')
  await over
}

function firstBytes(count: number): (source: AsyncIterable<Buffer>) => AsyncGenerator<Buffer> {
  return async function* (source) {
    let missing = count
    for await (const chunk of source) {
      yield chunk.subarray(0, missing)
      missing -= Math.min(missing, chunk.length)
      if (missing === 0) return
    }
    throw new Error(`The client wrote ${missing} bytes less than the ${count} that were to be cut off`)
  }
}
