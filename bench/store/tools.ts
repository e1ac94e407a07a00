// The command lines that people copy objects with, each with its defaults but for what is said here.
import { spawnSync } from 'node:child_process'
import { devNull } from 'node:os'
import type { CommandLine } from '../client/command.ts'
import type { Bucket } from './bucket.ts'

/** Keys and prefixes are those of the bucket; folders to copy into exist. */
export interface Tool {
  readonly name: string
  /** Names of its rows: writing to stdout, and copying to files. */
  readonly printName: string
  readonly copyName: string
  /** Writes an object to stdout. */
  print(key: string): CommandLine
  /** Copies an object into a folder, under the last name of its key. */
  copyObject(key: string, folder: string): CommandLine
  /** Copies all that is below a prefix into a folder. */
  copyPrefix(prefix: string, folder: string): CommandLine
}

export const RCLONE = 'rclone'
export const RCLONE_COPY = 'rclone copy'

/** For copies of many objects; its default of 4 is for slow lines. */
const RCLONE_TRANSFERS = '32'

/** Neither configuration files nor variables of whoever starts this have a say. */
const SURROUNDINGS = { PATH: process.env['PATH'], HOME: process.env['HOME'] }

/** The remote `bench:` is the server of the bucket. */
export function rcloneEnvironment({ server }: Bucket): CommandLine['env'] {
  return {
    ...SURROUNDINGS,
    RCLONE_CONFIG: devNull,
    RCLONE_CONFIG_BENCH_TYPE: 's3',
    RCLONE_CONFIG_BENCH_PROVIDER: 'Minio',
    RCLONE_CONFIG_BENCH_ENDPOINT: server.endpoint,
    RCLONE_CONFIG_BENCH_REGION: server.region,
    RCLONE_CONFIG_BENCH_ACCESS_KEY_ID: server.accessKey,
    RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY: server.secretKey,
  }
}

function rclone(bucket: Bucket): Tool {
  const env = rcloneEnvironment(bucket)
  const line = (...args: string[]): CommandLine => ({ program: RCLONE, args, env })
  const remote = (key: string) => `bench:${bucket.name}/${key}`
  return {
    name: RCLONE,
    printName: 'rclone cat',
    copyName: RCLONE_COPY,
    print: key => line('cat', remote(key)),
    copyObject: (key, folder) => line('copy', remote(key), folder),
    copyPrefix: (prefix, folder) => line('copy', '--transfers', RCLONE_TRANSFERS, remote(prefix), folder),
  }
}

function aws(bucket: Bucket): Tool {
  const { server, name } = bucket
  const env = {
    ...SURROUNDINGS,
    AWS_CONFIG_FILE: devNull,
    AWS_SHARED_CREDENTIALS_FILE: devNull,
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_DEFAULT_REGION: server.region,
  }
  const copy = (key: string, to: string, ...options: string[]): CommandLine => ({
    program: 'aws',
    args: [
      's3',
      'cp',
      '--endpoint-url',
      server.endpoint,
      '--only-show-errors',
      ...options,
      `s3://${name}/${key}`,
      to,
    ],
    env,
  })
  return {
    name: 'aws',
    printName: 'aws s3 cp to stdout',
    copyName: 'aws s3 cp',
    print: key => copy(key, '-'),
    copyObject: (key, folder) => copy(key, folder),
    copyPrefix: (prefix, folder) => copy(prefix, folder, '--recursive'),
  }
}

/** Those that are installed, and why the others cannot be measured. */
export function availableTools(bucket: Bucket): { tools: Tool[]; missing: string[] } {
  const tools: Tool[] = []
  const missing: string[] = []
  for (const [tool, versionArgument] of [
    [rclone(bucket), 'version'],
    [aws(bucket), '--version'],
  ] as const) {
    const { status } = spawnSync(tool.name, [versionArgument], { env: SURROUNDINGS })
    if (status === 0) tools.push(tool)
    else missing.push(`${tool.name} is not installed`)
  }
  return { tools, missing }
}
