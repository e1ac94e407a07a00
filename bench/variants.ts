// The servers that are compared, each in processes of its own, all over the same folder and the same URLs.
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nginxConfig, nginxProgram } from './peers/nginx.ts'
import { urlPath } from './workloads/workload.ts'

export interface Traits {
  readonly name: string
  /** Whether it sends folders as archives. */
  readonly archives: boolean
  /** Whether it only differs from another variant when several connections are open. */
  readonly onlyManyConnections: boolean
}

export interface Variant extends Traits {
  /** URL path of something that it serves as soon as it is ready, where it does not have the run of the others. */
  readonly readyPath?: string
  command(options: LaunchOptions): Command
}

export interface LaunchOptions {
  readonly root: string
  readonly port: number
  /** Program of the service: `src/main.ts` or `dist/main.js`. */
  readonly service: string
  /** An empty folder for what the server itself writes. */
  readonly scratch: string
}

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface RunningVariant extends AsyncDisposable {
  readonly variant: Traits
  /** URL path under which it serves the data. */
  readonly mount: string
  readonly port: number
  /** Undefined where its processes cannot be seen from here. */
  readonly pid: number | undefined
}

/** Those of `npm start` and of the image. */
const NODE_FLAGS = ['--max-semi-space-size=8']

export const SERVICE = 'polyaxon-outputs'
export const BASELINE = 'express.static + archiver'

const MOUNT = '/outputs'

/** haupt takes ten seconds on an idle machine. */
const READY_TIMEOUT_MS = 60_000

function service(name: string, workers: string): Variant {
  return {
    name,
    archives: true,
    onlyManyConnections: workers !== '1',
    command: ({ service: program, root, port }) => ({
      program: process.execPath,
      args: [...NODE_FLAGS, program],
      env: { HOST: '127.0.0.1', PORT: String(port), OUTPUTS_PATH: root, WORKERS: workers, LOG_LEVEL: 'warn' },
    }),
  }
}

export const serviceOnFolder = service(SERVICE, '1')

const expressStatic: Variant = {
  name: BASELINE,
  archives: true,
  onlyManyConnections: false,
  command: ({ root, port }) => ({
    program: process.execPath,
    args: [fileURLToPath(new URL('peers/express-static.ts', import.meta.url)), root, String(port)],
    env: {},
  }),
}

function nginx(program: string): Variant {
  return {
    name: 'nginx',
    archives: false,
    onlyManyConnections: false,
    command: ({ root, port, scratch }) => {
      const config = join(scratch, 'nginx.conf')
      writeFileSync(config, nginxConfig({ root, port, scratch }))
      return { program, args: ['-c', config, '-e', join(scratch, 'error.log')], env: {} }
    },
  }
}

/** Everything that can run on this machine, in the order of the tables, and why the rest cannot. */
export function availableVariants(): { variants: Variant[]; missing: string[] } {
  const variants = [serviceOnFolder, service(`${SERVICE}, WORKERS=auto`, 'auto'), expressStatic]
  const program = nginxProgram(name => spawnSync(name, ['-v']).error === undefined)
  if (program === undefined) return { variants, missing: ['nginx is not installed'] }
  return { variants: [...variants, nginx(program)], missing: [] }
}

/** Starts a server and waits until it serves `readyPath`, a URL path. */
export async function launch(
  variant: Variant,
  options: Omit<LaunchOptions, 'port'>,
  readyFile: string,
): Promise<RunningVariant> {
  mkdirSync(options.scratch, { recursive: true })
  const port = await freePort()
  const { program, args, env } = variant.command({ ...options, port })
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const running = {
    variant,
    mount: MOUNT,
    port,
    pid: child.pid,
    [Symbol.asyncDispose]: () => stop(child),
  }
  try {
    await ready(child, `http://127.0.0.1:${port}${variant.readyPath ?? urlPath(running, readyFile)}`)
  } catch (error) {
    await stop(child)
    throw new Error(`${variant.name} did not start`, { cause: error })
  }
  return running
}

async function ready(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with status ${child.exitCode}`)
    const response = await fetch(url).catch(() => undefined)
    await response?.body?.cancel()
    if (response?.status === 200) return
    if (Date.now() > deadline)
      throw new Error(
        `${url} ${response === undefined ? 'did not answer' : `answered ${response.status}`} for ${READY_TIMEOUT_MS / 1000} s`,
      )
    await sleep(20)
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
