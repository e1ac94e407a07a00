// The ways of recognising callers that the configuration asks for.
import type { Logger } from 'pino'
import { isLoopback } from '../../config/address.ts'
import type { Config } from '../../config/config.ts'
import type { Authority } from '../gate.ts'
import { openToAll, unnamed } from './anonymous.ts'
import { authorityOf, type Mode } from './authority.ts'
import { forward } from './forward.ts'
import { jwtMode } from './jwt.ts'
import { tokensMode } from './tokens.ts'

/** Resolves when all that is to be read was read, be it usable or not. */
export async function configuredAuthority(config: Config, logger: Logger): Promise<Authority> {
  const { auth, layouts, connections } = config
  const { host, basePath, allowUnauthenticated, allowUnauthenticatedChanges } = config.server
  const served = { layouts, connections: connections.map(({ name }) => name) }
  const modes: Mode[] = []
  if (auth.tokensFile !== undefined) modes.push(await tokensMode(auth.tokensFile, served, logger))
  if (auth.jwt !== undefined) modes.push(jwtMode(auth.jwt, layouts, logger))
  // Last, for it knows everybody.
  if (auth.forward !== undefined)
    modes.push(forward(auth.forward, { basePath, defaultConnection: served.connections[0]! }))
  if (modes.length === 0) return openToAll(isLoopback(host) || allowUnauthenticatedChanges)
  return authorityOf(modes, allowUnauthenticated ? unnamed(allowUnauthenticatedChanges) : undefined)
}
