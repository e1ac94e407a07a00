// The settings of who is let in, together: whether they make sense, and whether what they name can be used.
import { resolve } from 'node:path'
import { isLoopback } from './address.ts'
import type { Config, JwtDefinition } from './config.ts'
import { harmless, type Fault } from './fault.ts'
import { forwardFaults, forwardOf } from './forward.ts'
import { linksFaults, linksOf } from './links.ts'
import type { SettingKey, Values } from './settings.ts'
import type { Found } from './source.ts'
import { readTextFile, unreadable } from './text-file.ts'
import { parseTokens, type Served } from './tokens-file.ts'
import { unusedFaults } from './unused.ts'

export interface CheckedAuth {
  readonly auth: Config['auth']
  readonly faults: readonly Fault[]
  readonly warnings: readonly string[]
}

/** A setting of each of the ways to recognise callers, without which it is off. */
const SWITCHES = ['auth.tokensFile', 'auth.jwt.issuer', 'auth.forward.url'] as const satisfies SettingKey[]

/** `served` is what the rest of the configuration gives access to. Never rejects for what an operator wrote. */
export async function checkAuth(
  values: Values,
  chosen: ReadonlyMap<SettingKey, Found>,
  cwd: string,
  served: Served,
): Promise<CheckedAuth> {
  const where = (key: SettingKey): string => chosen.get(key)?.where ?? key
  const file = values['auth.tokensFile']
  const tokensFile = file === '' ? undefined : resolve(cwd, file)
  const jwt = jwtOf(values)
  const forward = forwardOf(values)
  const links = linksOf(values, cwd)
  const tokens =
    tokensFile === undefined
      ? undefined
      : await checkTokens({ path: tokensFile, name: file, where: where('auth.tokensFile') }, served)
  const isAny = SWITCHES.some(key => (chosen.get(key)?.value ?? '') !== '')
  return {
    auth: {
      ...(tokensFile !== undefined && { tokensFile }),
      ...(jwt && { jwt }),
      ...(forward && { forward }),
      ...(links && { links }),
    },
    faults: [
      ...(tokens?.faults ?? []),
      ...jwtFaults(values, chosen, where),
      ...forwardFaults(values, chosen),
      ...(await linksFaults(values, links, where('auth.links.keysFile'))),
      ...openFaults(values, isAny, where),
    ],
    warnings: [...(tokens?.warnings ?? []), ...jwtWarnings(values, where)],
  }
}

async function checkTokens(
  { path, name, where }: { readonly path: string; readonly name: string; readonly where: string },
  served: Served,
): Promise<Pick<CheckedAuth, 'faults' | 'warnings'>> {
  try {
    return parseTokens(await readTextFile(path), name, served)
  } catch (error) {
    const shown = harmless(name) === undefined ? 'it' : `'${name}'`
    return { faults: [{ where, problem: unreadable(error, 'a file of tokens', shown) }], warnings: [] }
  }
}

function jwtOf(values: Values): JwtDefinition | undefined {
  const issuer = values['auth.jwt.issuer']
  const jwksUrl = values['auth.jwt.jwksUrl']
  if (issuer === '') return undefined
  return {
    issuer,
    audience: values['auth.jwt.audience'],
    ...(jwksUrl !== '' && { jwksUrl }),
    claim: values['auth.jwt.claim'],
    algorithms: values['auth.jwt.algorithms'],
    clockToleranceMs: values['auth.jwt.clockTolerance'],
  }
}

const OF_JWT = [
  'auth.jwt.audience',
  'auth.jwt.jwksUrl',
  'auth.jwt.claim',
  'auth.jwt.algorithms',
  'auth.jwt.clockTolerance',
] as const satisfies SettingKey[]

function jwtFaults(
  values: Values,
  chosen: ReadonlyMap<SettingKey, Found>,
  where: (key: SettingKey) => string,
): Fault[] {
  if (values['auth.jwt.issuer'] === '') return unusedFaults(OF_JWT, 'auth.jwt.issuer', values, chosen)
  const missing = (['auth.jwt.audience', 'auth.jwt.claim'] as const).filter(key => values[key] === '')
  return missing.map(key => ({
    where: where(key),
    problem: `expected ${key === 'auth.jwt.claim' ? 'the name of a claim' : 'what the tokens for this service have in aud'}, found nothing`,
  }))
}

function jwtWarnings(values: Values, where: (key: SettingKey) => string): string[] {
  const key = values['auth.jwt.jwksUrl'] === '' ? 'auth.jwt.issuer' : 'auth.jwt.jwksUrl'
  const url = URL.parse(values[key])
  if (url === null || url.protocol === 'https:' || isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1')))
    return []
  return [
    `${where(key)}: keys that come by http can be changed on the way, and with them who is let in: use https`,
  ]
}

/** Whether others can reach the address although nothing says who may come in, or everybody may change what not everybody may read. */
function openFaults(values: Values, isAny: boolean, where: (key: SettingKey) => string): Fault[] {
  const host = values['server.host']
  const isOpen = values['server.allowUnauthenticated']
  if (isAny && !isOpen && values['server.allowUnauthenticatedChanges'])
    return [
      {
        where: where('server.allowUnauthenticatedChanges'),
        problem:
          'has no effect without server.allowUnauthenticated: who may change everything may read it too',
      },
    ]
  if (isAny || isOpen || isLoopback(host)) return []
  const problem =
    `'${harmless(host) ?? 'this address'}' can be reached from other machines, and no authentication is configured: use 127.0.0.1, say by auth who may come in, or set ` +
    'server.allowUnauthenticated: true (ALLOW_UNAUTHENTICATED=true, --allow-unauthenticated) to serve everybody who can reach it'
  return [{ where: where('server.host'), problem }]
}
