// `delivery: x-accel` behind a real nginx that sends the files itself.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, parseByteRanges } from '../support/client.ts'
import type { Answer, Ask } from '../support/client.ts'
import { startNginx, type Nginx } from '../support/nginx.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

const missing = process.env['REQUIRE_TOOLS'] !== '1' && spawnSync('nginx', ['-v']).error !== undefined
const RUN = 'ann/mnist/experiments/1'
const NAMES = ['model.bin', 'a b+c%41?#&;=.txt', 'größe 😀.csv', `quote'"\\.txt`, '..x', 'line\nbreak.txt']

/** What an operator writes, apart from the paths of this test. */
const configuration = (address: string, root: string, service: number): string => `
  server {
    listen ${address};
    location / {
      proxy_pass http://127.0.0.1:${service};
      proxy_set_header Host $http_host;
    }
    location /outputs-files/ {
      internal;
      alias ${root}/;
      disable_symlinks on from=${root};
      etag off;
      add_header ETag $upstream_http_etag;
      add_header Last-Modified $upstream_http_last_modified;
      add_header Content-Security-Policy $upstream_http_content_security_policy;
      add_header X-Content-Type-Options $upstream_http_x_content_type_options;
      add_header Cross-Origin-Resource-Policy $upstream_http_cross_origin_resource_policy;
      add_header X-Request-Id $upstream_http_x_request_id;
    }
  }`

describe.skipIf(missing)('behind nginx (needs nginx)', () => {
  const work = mkdtempSync(join(tmpdir(), 'outputs-nginx-'))
  const root = join(work, 'root')
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff))
  let service: Service
  let nginx: Nginx
  let origin: string

  beforeAll(async () => {
    // Started by root, nginx reads as another user.
    chmodSync(work, 0o755)
    for (const name of NAMES) {
      mkdirSync(dirname(join(root, RUN, name)), { recursive: true })
      writeFileSync(join(root, RUN, name), name === 'model.bin' ? content : name)
    }
    service = await startService(root, {
      connections: [
        {
          kind: 'local',
          name: 'outputs',
          path: root,
          isDefault: false,
          readOnly: false,
          delivery: 'x-accel',
          accelLocation: '/outputs-files/',
        },
      ],
    })
    nginx = await startNginx(address => configuration(address, root, service.port))
    origin = nginx.origin
  })
  afterAll(async () => {
    await nginx.stop()
    await service.close()
    rmSync(work, { recursive: true })
  })

  const get = (name: string, options?: Ask, query = ''): Promise<Answer> =>
    ask(`${origin}/outputs/${RUN}/${encodeURIComponent(name)}${query}`, options)

  it('sends the bytes itself, with what the service says of them', async () => {
    const direct = await ask(`${service.url}/outputs/${RUN}/model.bin`)
    expect([direct.text, direct.headers['x-accel-redirect']]).toEqual(['', `/outputs-files/${RUN}/model.bin`])
    const head = await get('model.bin', { method: 'HEAD' })
    const answer = await get('model.bin')
    expect(answer.status).toBe(200)
    expect(answer.body.equals(content)).toBe(true)
    for (const name of [
      'content-type',
      'content-disposition',
      'content-length',
      'content-security-policy',
      'x-content-type-options',
      'cross-origin-resource-policy',
      'cache-control',
      'etag',
      'last-modified',
      'accept-ranges',
    ])
      expect(answer.headers[name], name).toBe(head.headers[name])
    expect(answer.headers['content-security-policy']).toBe('sandbox')
    expect(answer.headers['x-accel-redirect']).toBeUndefined()
  })

  it.each(NAMES.slice(1))('finds a file called %j', async name => {
    const answer = await get(name)
    expect([answer.status, answer.text]).toEqual([200, name])
    expect(answer.headers['content-security-policy']).toBe('sandbox')
  })

  it('answers ranges, one and several, and the last bytes', async () => {
    for (const [range, start, end] of [
      ['bytes=10-99', 10, 100],
      ['bytes=-5', content.length - 5, content.length],
      ['bytes=299990-', 299_990, content.length],
    ] as const) {
      const answer = await get('model.bin', { headers: { range } })
      expect(answer.status).toBe(206)
      expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${content.length}`)
      expect(answer.body.equals(content.subarray(start, end))).toBe(true)
    }
    const several = await get('model.bin', { headers: { range: 'bytes=0-1,100-102' } })
    // nginx begins with the line end that belongs to the first delimiter (RFC 2046 5.1.1).
    const parts = parseByteRanges({ ...several, body: several.body.subarray(2) })
    expect(parts.map(({ bytes }) => bytes)).toEqual([content.subarray(0, 2), content.subarray(100, 103)])
    expect((await get('model.bin', { headers: { range: 'bytes=300000-' } })).status).toBe(416)
  })

  it('resumes by the tag of the service, and sends the whole for another', async () => {
    const { etag } = (await get('model.bin', { method: 'HEAD' })).headers
    const range = { range: 'bytes=100000-' }
    const resumed = await get('model.bin', { headers: { ...range, 'if-range': etag! } })
    expect(resumed.status).toBe(206)
    expect(createHash('sha256').update(content.subarray(0, 100_000)).update(resumed.body).digest()).toEqual(
      createHash('sha256').update(content).digest(),
    )
    expect((await get('model.bin', { headers: { ...range, 'if-range': '"other"' } })).status).toBe(200)
  })

  it('answers conditions as the service does', async () => {
    const { etag, 'last-modified': date } = (await get('model.bin', { method: 'HEAD' })).headers
    const statusFor = async (headers: Record<string, string>): Promise<number> =>
      (await get('model.bin', { headers })).status
    expect(await statusFor({ 'if-none-match': etag! })).toBe(304)
    expect(await statusFor({ 'if-none-match': '"other"' })).toBe(200)
    expect(await statusFor({ 'if-match': etag! })).toBe(200)
    expect(await statusFor({ 'if-match': '"other"' })).toBe(412)
    expect(await statusFor({ 'if-modified-since': date! })).toBe(304)
    expect(await statusFor({ 'if-unmodified-since': date! })).toBe(200)
  })

  it('has listings, archives and errors from the service', async () => {
    expect((await ask(`${origin}/outputs/${RUN}/?format=json`)).status).toBe(200)
    expect((await ask(`${origin}/outputs/${RUN}/?archive=tar`)).headers['accept-ranges']).toBe('bytes')
    expect((await get('missing')).status).toBe(404)
    expect((await get('model.bin', {}, '?redirect=false')).body.equals(content)).toBe(true)
  })

  it('keeps its internal location to itself', async () => {
    expect((await ask(`${origin}/outputs-files/${RUN}/model.bin`)).status).toBe(404)
  })
})
