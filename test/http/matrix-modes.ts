// The ways in which callers are recognised, each with credentials of every sort, and what these must lead to.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportJWK, SignJWT } from 'jose'
import { JWT_ALGORITHMS, type Config } from '../../src/config/config.ts'
import { signUrl } from '../../src/http/signed-url.ts'
import { AskedServer, type AskedQuestion } from '../support/asked-service.ts'
import { Listening } from '../support/listening.ts'
import type { Overrides } from '../support/service.ts'
import { OTHER_RUN, OTHER_UUID, RUN, UUID, type Cell, type Needs } from './matrix-rules.ts'

/**
 * `ok` succeeds; `hidden` is answered as if the run was not there; `unknown` is 401, `forbidden` 403, `unavailable` 503; `refused` is 403, or 400 where the operation does not even take the parameter.
 */
export type Outcome = 'ok' | 'hidden' | 'unknown' | 'forbidden' | 'unavailable' | 'refused'

/** No credentials, wrong ones, those that have expired, for another run, to read only, for all. */
export const SORTS = ['no', 'wrong', 'expired', 'narrow', 'read-only', 'right'] as const
export type Sort = (typeof SORTS)[number]

export interface Shown {
  readonly headers?: Readonly<Record<string, string>>
  /** In place of that of the cell. */
  readonly url?: string
}

export interface Mode {
  readonly name: string
  readonly overrides: Overrides
  /** How a request shows its credentials. */
  show(sort: Sort, cell: Cell): Shown
  /** What is to come of it. */
  expected(sort: Sort, cell: Cell): Outcome
  /** Whether lists show no more than a caller may know of. */
  readonly tellsApart: boolean
  close?(): Promise<void>
}

/** Where whoever is known has rights, and nobody else. */
function byRights(sort: Sort, needs: Needs): Outcome {
  if (needs === 'public') return 'ok'
  if (sort === 'no' || sort === 'wrong' || sort === 'expired') return 'unknown'
  if (needs === 'level' || sort === 'right') return 'ok'
  if (needs === 'metrics') return 'forbidden'
  if (sort === 'narrow') return 'hidden'
  return needs === 'read' ? 'ok' : 'forbidden'
}

/** As clients show a token, of whatever kind. */
function bearer(tokens: Readonly<Record<Exclude<Sort, 'no'>, string>>): (sort: Sort) => Shown {
  return sort => (sort === 'no' ? {} : { headers: { authorization: `Bearer ${tokens[sort]}` } })
}

/** To whom nobody listens: on this machine, and where others can reach it too. */
export function openModes(): Mode[] {
  const show = (sort: Sort): Shown => (sort === 'no' ? {} : { headers: { authorization: 'Bearer x' } })
  return [
    { name: 'none, on loopback', overrides: {}, show, expected: () => 'ok', tellsApart: false },
    {
      name: 'none, for others',
      tellsApart: false,
      overrides: { server: { host: '0.0.0.0', allowUnauthenticated: true } },
      show,
      expected: (_sort, { rule: { needs } }) =>
        needs === 'write' || needs === 'delete' ? 'forbidden' : 'ok',
    },
  ]
}

export function tokensMode(folder: string): Mode {
  const file = join(folder, 'tokens.yaml')
  const all = 'rights: [read, write, delete], scopes: [{}]'
  const narrow = `[{owner: ann, project: mnist, kind: experiments, run: 2}, {kind: runs, run: ${OTHER_UUID}}]`
  const holders = {
    expired: `${all}, expires: 2020-01-01`,
    narrow: `rights: [read, write, delete], scopes: ${narrow}`,
    'read-only': 'scopes: [{}]',
    right: `${all}, metrics: true`,
  }
  const tokens = Object.entries(holders).map(([sort, grants]) => {
    const sha256 = createHash('sha256').update(`token-${sort}`).digest('hex')
    return `  - {name: ${sort}, sha256: ${sha256}, ${grants}}\n`
  })
  writeFileSync(file, `tokens:\n${tokens.join('')}`)
  return {
    name: 'tokens',
    tellsApart: true,
    overrides: { auth: { tokensFile: file } },
    show: bearer({
      wrong: 'token-wrong',
      expired: 'token-expired',
      narrow: 'token-narrow',
      'read-only': 'token-read-only',
      right: 'token-right',
    }),
    expected: (sort, { rule }) => byRights(sort, rule.needs),
  }
}

export async function jwtMode(): Promise<Mode> {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', use: 'sig', alg: 'ES256' }
  const issuer = await Listening.start((_request, response) => response.end(JSON.stringify({ keys: [jwk] })))
  const rights = (of: string): string =>
    ['read', 'write', 'delete'].map(right => `outputs:${right}:${of}`).join(' ')
  const sign = (scope: string, key = pair.privateKey, age = 0): Promise<string> => {
    const now = Math.floor(Date.now() / 1000) - age
    return new SignJWT({ iss: issuer.origin, aud: 'outputs', sub: 'ann', exp: now + 600, scope })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .sign(key)
  }
  const tokens = {
    wrong: await sign(rights('*'), stranger.privateKey),
    expired: await sign(rights('*'), pair.privateKey, 3600),
    narrow: await sign(`${rights(OTHER_RUN)} ${rights(`*/*/runs/${OTHER_UUID}`)}`),
    'read-only': await sign('outputs:read:*'),
    right: await sign(`${rights('*')} outputs:metrics`),
  }
  const jwt: NonNullable<Config['auth']['jwt']> = {
    issuer: issuer.origin,
    audience: 'outputs',
    jwksUrl: `${issuer.origin}/keys`,
    claim: 'scope',
    algorithms: JWT_ALGORITHMS,
    clockToleranceMs: 0,
  }
  return {
    name: 'jwt',
    tellsApart: true,
    overrides: { auth: { jwt } },
    show: bearer(tokens),
    expected: (sort, { rule }) => byRights(sort, rule.needs),
    close: () => issuer.close(),
  }
}

/** A service that knows the same credentials by its own words. */
export async function forwardMode(isAway: boolean): Promise<Mode> {
  const upstream = await AskedServer.start()
  upstream.answer = answerOf
  if (isAway) await upstream.close()
  const show = bearer({
    wrong: 'w',
    expired: 'e',
    narrow: 'narrow',
    'read-only': 'read-only',
    right: 'right',
  })
  const forward: NonNullable<Config['auth']['forward']> = {
    url: `${upstream.origin}/`,
    preset: 'nginx',
    namespace: 'plx',
    timeoutMs: 2000,
    yesMs: 60_000,
    noMs: 5000,
  }
  return {
    name: isAway ? 'forward, to nobody' : 'forward',
    tellsApart: true,
    overrides: { auth: { forward } },
    show,
    expected: (sort, { rule: { needs } }) =>
      // That service knows of no right to see them, and is not asked.
      needs === 'metrics'
        ? sort === 'no'
          ? 'unknown'
          : 'forbidden'
        : isAway
          ? needs === 'public'
            ? 'ok'
            : 'unavailable'
          : byRights(sort, needs),
    close: () => upstream.close(),
  }
}

function answerOf({ uri, action, headers: { authorization } }: AskedQuestion): number {
  const isOfRun = /^\/outputs\/(?:[^/]+\/){4}$/.test(uri)
  switch (authorization) {
    case 'Bearer right':
      return 200
    case 'Bearer read-only':
      return action === 'GET' ? 200 : 403
    case 'Bearer narrow':
      return !isOfRun || [`/outputs/${OTHER_RUN}/`, `/runs/${OTHER_UUID}/`].some(end => uri.endsWith(end))
        ? 200
        : 403
    default:
      return 401
  }
}

/** Of callers by token, who are not asked when a request has a link. */
export function linksMode(folder: string): Mode {
  const tokens = tokensMode(folder)
  const keysFile = join(folder, 'link-keys.yaml')
  const secret = randomBytes(32)
  writeFileSync(keysFile, `keys: [{id: k1, secret: '${secret.toString('base64')}'}]`)
  const inOneHour = String(Math.floor(Date.now() / 1000) + 3600)
  /** The URL of `cell` with the signature that another request has. */
  const shown = (cell: Cell, method: string, url: string, key: Buffer, expires: string): Shown => {
    const mark = url.indexOf('?')
    const [path, query] = mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)]
    const signed = signUrl({ id: 'k1', secret: key }, { method, path, query, expires })
    const signature = signed.slice(signed.lastIndexOf('signature='))
    return {
      // Credentials for everything, which count for nothing.
      headers: { authorization: 'Bearer token-right' },
      url: `${cell.url}${cell.url.includes('?') ? '&' : '?'}${signature}`,
    }
  }
  const methodOf = ({ method }: Cell): string => (method === 'HEAD' ? 'GET' : method)
  return {
    name: 'links',
    tellsApart: true,
    overrides: { auth: { ...tokens.overrides.auth, links: { keysFile, maxAgeMs: 3_600_000 } } },
    show: (sort, cell) => {
      // What is for everybody takes no such parameter.
      if (cell.rule.needs === 'public') return {}
      switch (sort) {
        case 'no':
          return {}
        case 'wrong':
          return shown(cell, methodOf(cell), cell.url, randomBytes(32), inOneHour)
        case 'expired':
          return shown(cell, methodOf(cell), cell.url, secret, String(Math.floor(Date.now() / 1000)))
        case 'narrow':
          return shown(
            cell,
            methodOf(cell),
            cell.url.replace(RUN, OTHER_RUN).replace(UUID, OTHER_UUID),
            secret,
            inOneHour,
          )
        case 'read-only':
          return shown(cell, 'GET', cell.url, secret, inOneHour)
        case 'right':
          return shown(cell, methodOf(cell), cell.url, secret, inOneHour)
      }
    },
    expected: (sort, cell) => {
      const { needs, linkable } = cell.rule
      if (needs === 'public') return 'ok'
      if (sort === 'no') return 'unknown'
      const isRight = sort === 'right' || (sort === 'read-only' && methodOf(cell) === 'GET')
      return isRight && linkable === true ? 'ok' : 'refused'
    },
  }
}
