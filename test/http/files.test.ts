// What an answer with an artifact says besides its bytes, and what errors look like.
import { createHash } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import type { Answer, Ask } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

const root = mkdtempSync(join(tmpdir(), 'outputs-files-'))
const RUN = 'ann/mnist/experiments/1'
let service: Service

function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

beforeAll(async () => {
  put(`${RUN}/page.html`, '<script>alert(1)</script>')
  put(`${RUN}/image.svg`, '<svg/>')
  put(`${RUN}/loss.png`, 'png')
  put(`${RUN}/train.log`, 'line\n')
  put(`${RUN}/model.bin`, Buffer.alloc(1000, 7))
  put(`${RUN}/übersicht "1".txt`, 'x')
  put(`${RUN}/100%41 + #&;.txt`, 'percent')
  put(`${RUN}/..x`, 'dots')
  put(`${RUN}/back\\slash`, 'backslash')
  put('ann/mnist/experiments/2/secret.txt', 'secret')
  symlinkSync('loss.png', join(root, RUN, 'link.png'))
  symlinkSync('../2/secret.txt', join(root, RUN, 'leaves.txt'))
  symlinkSync('../2', join(root, RUN, 'leaves'))
  symlinkSync('/etc', join(root, RUN, 'etc'))
  service = await startService(root)
})
afterAll(async () => {
  await service.close()
  rmSync(root, { recursive: true })
})

const at = (path: string): string => `${service.url}/outputs/${RUN}/${path}`
const get = (path: string, options?: Ask): Promise<Answer> => ask(at(path), options)

describe('a file', () => {
  it.each([
    ['loss.png', 'image/png', 'inline; filename="loss.png"'],
    ['train.log', 'text/plain; charset=utf-8', 'inline; filename="train.log"'],
    ['page.html', 'text/html; charset=utf-8', 'attachment; filename="page.html"'],
    ['image.svg', 'image/svg+xml', 'attachment; filename="image.svg"'],
    ['model.bin', 'application/octet-stream', 'attachment; filename="model.bin"'],
    ['loss.png?download', 'image/png', 'attachment; filename="loss.png"'],
    ['loss.png?download=true', 'image/png', 'attachment; filename="loss.png"'],
    ['loss.png?download=false', 'image/png', 'inline; filename="loss.png"'],
  ])('%s is %s, %s', async (path, type, disposition) => {
    for (const headers of [{}, { range: 'bytes=0-1' }] as Record<string, string>[]) {
      const answer = await get(path, { headers })
      expect(answer.headers).toMatchObject({
        'content-type': type,
        'content-disposition': disposition,
        'x-content-type-options': 'nosniff',
        'content-security-policy': 'sandbox',
        'cache-control': 'private, no-cache',
      })
    }
  })

  it('has a disposition of plain ASCII that carries the Unicode name too', async () => {
    const disposition = (await get(encodeURIComponent('übersicht "1".txt'))).headers['content-disposition']!
    expect(disposition).toMatch(/^[\x20-\x7e]+$/)
    expect(disposition).toContain("filename*=UTF-8''%C3%BCbersicht%20%221%22.txt")
  })

  it.each([
    ['100%2541%20+%20%23&;.txt', 'percent'],
    ['..x', 'dots'],
    ['back%5Cslash', 'backslash'],
    ['link.png', 'png'],
  ])('is found by its URL, decoded once: %s', async (path, text) => {
    expect((await get(path)).text).toBe(text)
  })

  it('gets a new strong ETag when it is rewritten in place within a moment with the same size', async () => {
    const path = join(root, RUN, 'rewritten.txt')
    const tags = new Map<string, string>()
    for (let i = 0; i < 12; i++) {
      const text = `content ${i % 10}${i}`.slice(-9)
      const fd = openSync(path, 'w')
      writeSync(fd, text)
      closeSync(fd)
      const answer = await get('rewritten.txt')
      expect(answer.text).toBe(text)
      const etag = answer.headers.etag!
      expect(etag.startsWith('"')).toBe(true)
      expect(tags.get(etag) ?? text).toBe(text)
      tags.set(etag, text)
    }
    expect(tags.size).toBeGreaterThan(5)
  })

  it('gives Repr-Digest when it is wanted, on 200, 206 and HEAD', async () => {
    const expected = `sha-256=:${createHash('sha256').update(Buffer.alloc(1000, 7)).digest('base64')}:`
    for (const options of [{}, { method: 'HEAD' }, { headers: { range: 'bytes=0-9' } }] as Ask[]) {
      const answer = await get('model.bin', {
        ...options,
        headers: { ...options.headers, 'want-repr-digest': 'sha-512=3, sha-256=10' },
      })
      expect(answer.headers['repr-digest']).toBe(expected)
    }
    expect((await get('model.bin')).headers['repr-digest']).toBeUndefined()
    expect(
      (await get('model.bin', { headers: { 'want-repr-digest': 'sha-256=0' } })).headers['repr-digest'],
    ).toBeUndefined()
  })

  it('has no Repr-Digest when the file is larger than the setting allows', async () => {
    const small = await startService(root, { digests: { maxBytes: 999 } })
    try {
      const answer = await ask(`${small.url}/outputs/${RUN}/model.bin`, {
        headers: { 'want-repr-digest': 'sha-256=1' },
      })
      expect([answer.status, answer.headers['repr-digest']]).toEqual([200, undefined])
    } finally {
      await small.close()
    }
  })
})

interface ProblemDocument {
  type: string
  title: string
  status: number
  detail: string
  requestId: string
}

describe('a refused request', () => {
  it.each([
    ['%00', 400, 'invalid-path'],
    ['a/../b', 400, 'invalid-path'],
    ['%2e%2e/2/secret.txt', 400, 'invalid-path'],
    ['..%2f2%2fsecret.txt', 400, 'invalid-path'],
    ['..%5c2%5csecret.txt', 400, 'invalid-path'],
    ['a//b', 400, 'invalid-path'],
    ['/etc/passwd', 400, 'invalid-path'],
    ['%2fetc%2fpasswd', 400, 'invalid-path'],
    ['%', 400, 'invalid-path'],
    ['%ff', 400, 'invalid-path'],
    ['x'.repeat(300), 400, 'invalid-path'],
    ['?limit=1&limit=2', 400, 'invalid-argument'],
    ['?limit[]=1', 400, 'invalid-argument'],
    ['?unknown=1', 400, 'invalid-argument'],
    ['?format=xml', 400, 'invalid-argument'],
    ['?archive=rar', 400, 'invalid-argument'],
    ['?glob=%5B', 400, 'invalid-argument'],
    ['nothing', 404, 'not-found'],
    ['%252e%252e/x', 404, 'not-found'],
    ['loss.png/below', 404, 'not-found'],
    ['leaves.txt', 404, 'not-found'],
    ['leaves/', 404, 'not-found'],
    ['leaves/secret.txt', 404, 'not-found'],
    ['etc/passwd', 404, 'not-found'],
    ['etc/?archive=zip', 404, 'not-found'],
    ['?connection=other', 404, 'not-found'],
    ['?archive=zip&path=nothing', 404, 'not-found'],
    ['?archive=zip&glob=*.nothing', 404, 'not-found'],
    ['?archive=zip&path=../2/secret.txt', 400, 'invalid-path'],
  ])('%s is %d as a problem document', async (path, status, type) => {
    const answer = await get(path)
    expect(answer.status, answer.text).toBe(status)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
    const problem = json(answer) as ProblemDocument
    expect(problem).toMatchObject({
      status,
      type: `urn:polyaxon-outputs:problem:${type}`,
      requestId: answer.headers['x-request-id'],
    })
    expect(problem.detail.length).toBeGreaterThan(10)
    expect(answer.text).not.toContain(root)
    expect(answer.text).not.toContain('    at ')
  })

  it.each(['PATCH', 'PROPFIND'])('%s on a file is 405 with Allow', async method => {
    const answer = await get('loss.png', { method })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD, PUT, POST, DELETE'])
    expect((json(answer) as ProblemDocument).type).toBe('urn:polyaxon-outputs:problem:unsupported')
  })

  it('POST on a run that does not say what for is 400, PATCH on it 405 with what is possible', async () => {
    expect((await get('', { method: 'POST' })).status).toBe(400)
    const answer = await get('', { method: 'PATCH' })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD, PUT, POST, DELETE'])
  })

  it('keeps the request id that a proxy gave, and refuses one that is not plain', async () => {
    expect((await get('nothing', { headers: { 'x-request-id': 'abc-123' } })).headers['x-request-id']).toBe(
      'abc-123',
    )
    expect(
      (await get('nothing', { headers: { 'x-request-id': '<script>' } })).headers['x-request-id'],
    ).not.toBe('<script>')
  })

  it('anywhere else is 404 as a problem document', async () => {
    const answer = await ask(`${service.url}/elsewhere/<b>`)
    expect([answer.status, answer.headers['content-type']]).toEqual([404, 'application/problem+json'])
    expect(answer.text).not.toContain('<b>')
  })
})

describe('links that leave the run', () => {
  it('are not listed; those that stay are', async () => {
    const answer = await get('?format=text&recursive')
    expect(answer.text.split('\n')).toEqual(expect.arrayContaining(['link.png']))
    expect(answer.text).not.toMatch(/leaves|etc|secret/)
  })
})

describe('a selection by POST', () => {
  it.each([
    ['application/x-www-form-urlencoded', 'path=loss.png&path=train.log'],
    ['application/json', JSON.stringify({ paths: ['loss.png', 'train.log'] })],
  ])('as %s gives the archive of exactly that', async (type, body) => {
    const answer = await get('?archive=tar', { method: 'POST', headers: { 'content-type': type }, body })
    const same = await get('?archive=tar&path=loss.png&path=train.log')
    expect(answer.status, answer.text).toBe(200)
    expect(answer.headers.etag).toBe(same.headers.etag)
    expect(answer.body.equals(same.body)).toBe(true)
  })

  it.each([
    ['application/json', '{"paths": ["a"', 400],
    ['application/json', '{"paths": ["../x"]}', 400],
    ['application/json', '{"other": 1}', 400],
    ['text/plain', 'loss.png', 400],
    ['application/json', JSON.stringify({ paths: ['x'.repeat(2_000_000)] }), 413],
  ])('as %s of %.20s is %d', async (type, body, status) => {
    expect(
      (await get('?archive=tar', { method: 'POST', headers: { 'content-type': type }, body })).status,
    ).toBe(status)
  })
})

describe('a limit on archives', () => {
  it.each([
    ['maxEntries', { maxEntries: 3, maxBytes: 10 ** 9, maxInProgress: 1 }],
    ['maxBytes', { maxEntries: 1000, maxBytes: 500, maxInProgress: 1 }],
  ])('archives.%s is 413 and says the setting', async (setting, archives) => {
    const limited = await startService(root, { archives })
    try {
      const answer = await ask(`${limited.url}/outputs/${RUN}/?archive=zip`)
      expect(answer.status).toBe(413)
      expect((json(answer) as ProblemDocument).detail).toContain(`archives.${setting}`)
    } finally {
      await limited.close()
    }
  })

  it('archives.maxInProgress is 503 with Retry-After while one is sent, and gone with it', async () => {
    put('ann/mnist/experiments/3/large.bin', Buffer.alloc(20_000_000))
    const limited = await startService(root, { archives: { maxInProgress: 1 } })
    const url = `${limited.url}/outputs/ann/mnist/experiments/3/?archive=tar`
    try {
      const held = await new Promise<IncomingMessage>((resolve, reject) => {
        request(url, resolve).on('error', reject).end()
      })
      const refused = await ask(url)
      expect(refused.status).toBe(503)
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
      expect((json(refused) as ProblemDocument).detail).toContain('archives.maxInProgress')
      held.destroy()
      await expect.poll(async () => (await ask(url)).status, { timeout: 10_000 }).toBe(200)
    } finally {
      await limited.close()
    }
  })
})

describe('a compressed archive', () => {
  it.each([
    ['tar.gz', gunzipSync],
    ['tar.zst', zstdDecompressSync],
  ])('as %s has no length, tag or ranges, and holds the tar', async (format, unpack) => {
    const tar = await get('?archive=tar')
    for (const headers of [{}, { range: 'bytes=0-9' }] as Record<string, string>[]) {
      const answer = await get(`?archive=${format}`, { headers })
      expect(answer.status).toBe(200)
      expect(answer.headers).toMatchObject({
        'accept-ranges': 'none',
        'content-disposition': `attachment; filename="mnist-experiment-1.${format}"`,
      })
      expect(answer.headers['content-length']).toBeUndefined()
      expect(answer.headers.etag).toBeUndefined()
      expect(unpack(answer.body).equals(tar.body)).toBe(true)
    }
  })

  it('as zip with compress is shorter than the stored one, and has neither length nor ranges', async () => {
    const stored = await get('?archive=zip')
    const deflated = await get('?archive=zip&compress=true')
    expect([deflated.status, deflated.headers['accept-ranges'], deflated.headers['content-length']]).toEqual([
      200,
      'none',
      undefined,
    ])
    expect(deflated.body.length).toBeLessThan(stored.body.length)
    expect((await get('?archive=tar&compress=true')).status).toBe(400)
  })
})

describe('the service itself', () => {
  it.each([
    ['/healthz', 'application/json'],
    ['/readyz', 'application/json'],
    ['/openapi.yaml', 'application/yaml'],
    ['/docs', 'text/html; charset=utf-8'],
  ])('%s answers GET and HEAD as %s', async (path, type) => {
    const answer = await ask(`${service.url}${path}`)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, type])
    const head = await ask(`${service.url}${path}`, { method: 'HEAD' })
    expect([head.status, head.body.length, head.headers['content-length']]).toEqual([
      200,
      0,
      String(answer.body.length),
    ])
    const refused = await ask(`${service.url}${path}`, { method: 'DELETE' })
    expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD'])
  })

  it('/docs and /openapi.yaml can be revalidated', async () => {
    const { headers } = await ask(`${service.url}/docs`)
    expect((await ask(`${service.url}/docs`, { headers: { 'if-none-match': headers.etag! } })).status).toBe(
      304,
    )
  })
})
