// The mode `tokens`: callers who show a token whose hash is in a file.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Logger } from 'pino'
import { readTextFile, unreadable } from '../../config/text-file.ts'
import { parseTokens, type Served, type TokenEntry } from '../../config/tokens-file.ts'
import { AppError } from '../../errors.ts'
import type { Caller } from '../gate.ts'
import type { Mode } from './authority.ts'
import { rightsOf } from './grants.ts'
import { keepFile, type FileReader } from './kept-file.ts'
import { presentedToken } from './presented.ts'

interface Holder {
  readonly hash: Buffer
  readonly expiresMs: number
  readonly caller: Caller
}

/**
 * Knows the tokens of the file at `path`, which is read again when it changes: a second later at most a token that is gone is worth nothing to requests that begin. A file that cannot
 * be used changes nothing, and is logged once.
 */
export async function tokensMode(path: string, served: Served, logger: Logger): Promise<Mode> {
  const file = await keepFile(path, tokensReader(path, served), logger)
  return {
    recognise: (_request, identity) => {
      const token = presentedToken(identity)
      return token === undefined ? Promise.resolve(undefined) : recognise(token, file.current())
    },
    close: () => file.close(),
  }
}

type Holders = ReadonlyMap<string, Holder>

function tokensReader(path: string, served: Served): FileReader<Holders> {
  return {
    read: async () => {
      const { tokens, ...others } = parseTokens(await readTextFile(path), path, served)
      return { content: new Map(tokens.map(token => [token.sha256, holderOf(token, served)])), ...others }
    },
    unreadable: error => unreadable(error, 'a file of tokens', `'${path}'`),
    describe: holders => [{ tokens: holders.size }, 'the file of tokens was read again'],
    unusable: 'the file of tokens cannot be used: what it was before still holds',
  }
}

/**
 * The place of a hash in the map, and how long it takes to find it, say nothing of any token: nobody can choose a hash, or come nearer to one step by step. The last comparison takes the
 * same time all the same.
 */
async function recognise(token: string, holders: Holders | undefined): Promise<Caller | undefined> {
  if (holders === undefined)
    throw new AppError(
      'Unavailable',
      'Nobody can be recognised, because the file of tokens cannot be used.',
      {
        op: 'admit',
      },
    )
  const hash = createHash('sha256').update(token, 'latin1').digest()
  const holder = holders.get(hash.toString('hex'))
  if (holder === undefined || !timingSafeEqual(holder.hash, hash)) return undefined
  if (Date.now() >= holder.expiresMs)
    throw new AppError('Unauthenticated', 'This token has expired: ask for a new one.', { op: 'admit' })
  return holder.caller
}

function holderOf({ name, sha256, expiresMs, seesMetrics, grants }: TokenEntry, { layouts }: Served): Holder {
  return {
    hash: Buffer.from(sha256, 'hex'),
    expiresMs,
    caller: { name: `token:${name}`, seesMetrics, ...rightsOf(grants, layouts) },
  }
}
