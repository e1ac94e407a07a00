// The real program behind a proxy that alone knows the way to a store.
import { spawn } from 'node:child_process'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { serverSettings } from '../support/servers.ts'

const minio = serverSettings('minio')
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const BUCKET = `proxied-${process.pid}`

describe.skipIf(minio === undefined)('proxies of the environment (needs TEST_MINIO)', () => {
  const client = new S3Client({
    endpoint: minio?.['endpoint'] ?? '',
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: minio?.['access_key'] ?? '', secretAccessKey: minio?.['secret_key'] ?? '' },
  })
  let proxy: Server
  let asked: string[]

  beforeEach(async () => {
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
    asked = []
    // A forward proxy (RFC 9112 3.2.2): the request line names the whole URL, of which it knows the host.
    proxy = createServer((incoming, outgoing) => {
      const url = new URL(incoming.url!)
      asked.push(url.host)
      const onward = request(
        new URL(url.pathname + url.search, minio!['endpoint']),
        { method: incoming.method, headers: incoming.headers },
        answer => {
          outgoing.writeHead(answer.statusCode!, answer.headers)
          void answer.toArray().then(chunks => outgoing.end(Buffer.concat(chunks as Buffer[])))
        },
      )
      void incoming.toArray().then(chunks => onward.end(Buffer.concat(chunks as Buffer[])))
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  })
  afterEach(async () => {
    proxy.closeAllConnections()
    await new Promise(resolve => proxy.close(resolve))
    await client.send(new DeleteBucketCommand({ Bucket: BUCKET }))
  })

  async function check(env: Record<string, string>): Promise<{ status: number | null; output: string }> {
    const store = {
      store: 's3',
      bucket: `s3://${BUCKET}`,
      endpoint: 'http://store.invalid',
      region: 'us-east-1',
    }
    const child = spawn(process.execPath, [main, '--check'], {
      env: {
        PATH: process.env['PATH'],
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({ outputs: store }),
        AWS_ACCESS_KEY_ID: minio!['access_key'],
        AWS_SECRET_ACCESS_KEY: minio!['secret_key'],
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [output, status] = await Promise.all([
      text(child.stdout),
      new Promise<number | null>(resolve => child.once('exit', resolve)),
    ])
    return { status, output }
  }

  it('are used for a store, whose name the proxy alone can resolve', async () => {
    const { port } = proxy.address() as AddressInfo
    const { status, output } = await check({ HTTP_PROXY: `http://127.0.0.1:${port}` })
    expect(output).toContain('ok')
    expect(status).toBe(0)
    expect(new Set(asked)).toEqual(new Set(['store.invalid']))
  })

  it('are left out for the hosts of NO_PROXY', async () => {
    const { port } = proxy.address() as AddressInfo
    const { status, output } = await check({
      HTTP_PROXY: `http://127.0.0.1:${port}`,
      NO_PROXY: 'store.invalid',
    })
    expect(output).toContain('unreachable')
    expect(status).toBe(1)
    expect(asked).toEqual([])
  })
})
