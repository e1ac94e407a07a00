// The real program with callers who have to say who they are.
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportJWK, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { makeSample } from '../../src/sample/make.ts'
import { Listening } from '../support/listening.ts'
import { until } from '../support/process.ts'
import { endAll, launch, printedUrl, temporaryFolder, workersOf } from './launch.ts'

const work = temporaryFolder()
const file = join(work.path, 'tokens.yaml')
beforeAll(() => makeSample(join(work.path, 'outputs')))
afterEach(endAll)
afterAll(() => work.remove())

const RUN = 'demo/quick-start/experiments/1'

function statusOf(url: string, token?: string): Promise<number> {
  // A connection of its own for each, so that all workers are asked.
  const headers = { connection: 'close', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  return fetch(url, { headers }).then(async answer => {
    await answer.arrayBuffer()
    return answer.status
  })
}

/** A new token of `name`, whose entry is added to the file as the program prints it. */
async function addToken(name: string, owner: string): Promise<string> {
  const made = launch({ cwd: work.path, argv: ['token'] })
  expect(await made.ended).toMatchObject({ code: 0 })
  appendFileSync(
    file,
    made.stdout().replace('name: somebody', `name: ${name}`).replace('owner: somebody', `owner: ${owner}`),
  )
  const token = made.stderr().trim()
  expect(made.stdout()).not.toContain(token)
  return token
}

it('a token that it made is let in, by every worker, until it is taken out of the file', async () => {
  writeFileSync(file, 'tokens:\n')
  const [demos, others] = [await addToken('ci', 'demo'), await addToken('other', 'other')]
  const service = launch({ cwd: work.path, env: { AUTH_TOKENS_FILE: 'tokens.yaml', WORKERS: '2' } })
  const url = await printedUrl(service)
  expect(service.stdout()).toContain(`curl -H "Authorization: Bearer $TOKEN" '${url}/outputs/?format=text'`)
  expect(service.stderr()).toContain('cover no run whose folder does not have these names in it')
  const file_ = `${url}/outputs/${RUN}/metrics.csv`
  expect(workersOf(service)).toHaveLength(2)
  for (let i = 0; i < 4; i++)
    expect([await statusOf(file_), await statusOf(file_, demos), await statusOf(file_, others)]).toEqual([
      401, 200, 404,
    ])
  writeFileSync(file, 'tokens: []\n')
  await until(
    async () =>
      (await Promise.all(Array.from({ length: 6 }, () => statusOf(file_, demos)))).every(
        status => status === 401,
      ),
    { withinMs: 5000 },
  )
  expect(service.stderr() + service.stdout()).not.toContain(demos)
})

it('a file with faults keeps it from starting, with every fault', async () => {
  writeFileSync(file, 'tokens:\n  - {name: a, sha256: x, scopes: [{ownr: b}]}\n')
  const service = launch({ cwd: work.path, env: { AUTH_TOKENS_FILE: 'tokens.yaml', HOST: '0.0.0.0' } })
  expect(await service.ended).toMatchObject({ code: 78 })
  expect(service.stderr().match(/^ {2}tokens\[0\].*$/gm)).toHaveLength(2)
})

it('the keys of an issuer of web tokens are asked for through the proxy of the environment', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const asked: string[] = []
  // It alone knows the way to the issuer.
  const proxy = await Listening.start((request, response) => {
    asked.push(request.url!)
    const keys = exportJWK(publicKey).then(key => ({ keys: [key] }))
    void keys.then(found => response.setHeader('content-type', 'application/json').end(JSON.stringify(found)))
  })
  proxy.server.on('connect', ({ url }, socket) => {
    asked.push(`CONNECT ${url}`)
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    proxy.server.emit('connection', socket)
  })
  const issuer = 'http://login.invalid/realm'
  const service = launch({
    cwd: work.path,
    env: {
      HTTP_PROXY: proxy.origin,
      AUTH_JWT_ISSUER: issuer,
      AUTH_JWT_AUDIENCE: 'outputs',
      AUTH_JWT_JWKS_URL: 'http://login.invalid/keys',
    },
  })
  try {
    const token = await new SignJWT({ scope: 'outputs:read:demo' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(issuer)
      .setAudience('outputs')
      .setSubject('ann')
      .setExpirationTime('1m')
      .sign(privateKey)
    expect(await statusOf(`${await printedUrl(service)}/outputs/${RUN}/metrics.csv`, token)).toBe(200)
    expect(asked.join()).toMatch(/login\.invalid/)
  } finally {
    await proxy.close()
  }
})
