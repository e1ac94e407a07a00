// Servers whose files are objects of the bucket.
import { SERVICE } from '../variants.ts'
import type { RunningVariant, Variant } from '../variants.ts'
import type { Bucket } from './bucket.ts'
import { RCLONE, rcloneEnvironment } from './tools.ts'

export const RCLONE_SERVE = 'rclone serve http on S3'

export function serviceOnBucket({ server, name }: Bucket): Variant {
  const outputs = {
    bench: { store: 's3', bucket: `s3://${name}`, endpoint: server.endpoint, region: server.region },
  }
  return {
    name: `${SERVICE} on S3`,
    archives: true,
    onlyManyConnections: false,
    command: ({ service: program, port }) => ({
      program: process.execPath,
      args: [program],
      env: {
        HOST: '127.0.0.1',
        PORT: String(port),
        LOG_LEVEL: 'warn',
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify(outputs),
        AWS_ACCESS_KEY_ID: server.accessKey,
        AWS_SECRET_ACCESS_KEY: server.secretKey,
      },
    }),
  }
}

export function rcloneServe(bucket: Bucket): Variant {
  return {
    name: RCLONE_SERVE,
    archives: false,
    onlyManyConnections: false,
    command: ({ port, scratch }) => ({
      program: RCLONE,
      args: [
        'serve',
        'http',
        `bench:${bucket.name}`,
        '--addr',
        `127.0.0.1:${port}`,
        '--baseurl',
        'outputs',
        '--cache-dir',
        scratch,
        '--log-level',
        'ERROR',
      ],
      env: rcloneEnvironment(bucket),
    }),
  }
}

/** The store itself, as whoever may read everything asks it. It was there before and stays. */
export function storeItself({ server, name }: Bucket): RunningVariant {
  return {
    variant: { name: 'MinIO itself', archives: false, onlyManyConnections: false },
    mount: `/${name}`,
    port: server.port,
    pid: server.pid,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
