// Runs a command line to its end, and what it cost.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Usage } from '../process-tree.ts'

/** In Python, because Node does not tell what a child process cost. */
const RUNNER = fileURLToPath(new URL('run-command.py', import.meta.url))

export interface CommandLine {
  readonly program: string
  readonly args: readonly string[]
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface CommandResult extends Usage {
  readonly seconds: number
  /** What it wrote to stdout. */
  readonly bytes: number
  /** Undefined unless asked for. */
  readonly sha256: string | undefined
  /** Undefined where it wrote nothing. */
  readonly firstByteMs: number | undefined
}

/** Rejects when the command ends with another status than 0. Aborting `signal` ends it. */
export async function runCommand(
  { program, args, env }: CommandLine,
  { hash = false, signal }: { readonly hash?: boolean; readonly signal: AbortSignal },
): Promise<CommandResult> {
  const line = [RUNNER, ...(hash ? ['--hash'] : []), program, ...args]
  const { stdout, stderr } = await promisify(execFile)('python3', line, { env, signal })
  const { status, sha256, firstByteMs, ...rest } = JSON.parse(stdout) as Omit<
    CommandResult,
    'sha256' | 'firstByteMs'
  > & { status: number; sha256: string | null; firstByteMs: number | null }
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with status ${status}: ${stderr.trim()}`)
  return { ...rest, sha256: sha256 ?? undefined, firstByteMs: firstByteMs ?? undefined }
}
