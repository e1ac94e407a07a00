// What gets into the log: enough to find the cause, and nothing that opens a door.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { configForLog, errorForLog } from '../../src/process/log.ts'
import { configFor } from '../support/service.ts'
import { temporaryFolder } from './launch.ts'

describe('an error in the log', () => {
  it('has its name, code, message and stack, and those of its causes', () => {
    const root = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:9000'), { code: 'ECONNREFUSED' })
    expect(errorForLog(new TypeError('failed', { cause: root }))).toMatchObject({
      type: 'TypeError',
      message: 'failed',
      stack: expect.stringContaining('log.test') as string,
      cause: { type: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.1:9000' },
    })
  })

  it('has nothing of the request that an SDK hangs on it', () => {
    const error = Object.assign(new Error('403'), {
      request: { headers: { authorization: 'Bearer OURS' } },
      config: { url: 'https://x/?sig=OURS' },
      $response: 'OURS',
    })
    expect(JSON.stringify(errorForLog(error))).not.toContain('OURS')
  })

  it.each([
    ['GET https://x.blob.core.windows.net/c/k?sv=2024&sig=OURS failed', 'windows.net/c/k?*** failed'],
    ["bad URL 'http://host:9000/b/k?X-Amz-Signature=OURS'", "'http://host:9000/b/k?***'"],
    ['proxy https://user:OURS@proxy:3128/ refused', 'proxy https://***@proxy:3128/ refused'],
  ])('shows no query and no user information of a URL: %s', (message, shown) => {
    const logged = JSON.stringify(errorForLog(new Error(message)))
    expect(logged).toContain(shown)
    expect(logged).not.toContain('OURS')
  })

  it('ends where causes go in a circle', () => {
    const [a, b] = [new Error('a'), new Error('b')]
    a.cause = b
    b.cause = a
    expect(JSON.stringify(errorForLog(a)).length).toBeLessThan(20_000)
  })
})

it('shows of access keys in variables only their names', () => {
  const store = {
    kind: 'gcs',
    name: 'lake',
    bucket: 'b',
    prefix: '',
    readOnly: false,
    delivery: 'proxy',
    maxConnections: 1,
    signedUrlSeconds: 60,
    secret: { label: 'the environment', values: { GC_KEY: 'OURS' }, files: [] },
  } as const
  const config = configFor('', { connections: [store], logs: { ...store, name: 'persistence.logs' } })
  expect(JSON.stringify(configForLog(config))).not.toContain('OURS')
  const secret = { values: { GC_KEY: '***' } }
  expect(configForLog(config)).toMatchObject({
    connections: [{ name: 'lake', secret }],
    logs: { name: 'persistence.logs', secret },
  })
})

it('has in its lines nothing that drives a terminal or hides text, and the same values', async () => {
  const text = 'a\x1b[31m\x9b31m\u202e\u2028\u{e0041}\nb ü😀'
  const folder = temporaryFolder()
  const script = join(folder.path, 'log.ts')
  const module = new URL('../../src/process/log.ts', import.meta.url).href
  writeFileSync(
    script,
    `import { createLogger } from ${JSON.stringify(module)}\ncreateLogger('info').info({ url: ${JSON.stringify(text)} }, ${JSON.stringify(text)})`,
  )
  try {
    const { stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
    expect(stderr).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+\n$/u)
    expect(stderr).toContain('ü😀')
    expect(JSON.parse(stderr)).toMatchObject({ url: text, msg: text })
  } finally {
    folder.remove()
  }
})
