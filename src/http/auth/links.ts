// Signed links: whoever has one may do what it was signed for, until it expires.
import type { Logger } from 'pino'
import type { LinksDefinition } from '../../config/config.ts'
import { parseLinkKeys, type LinkKey } from '../../config/link-keys.ts'
import { readTextFile, unreadable } from '../../config/text-file.ts'
import { AppError } from '../../errors.ts'
import { isRunReference } from '../../runs/runs.ts'
import type { Action, Authority, Caller } from '../gate.ts'
import { keepFile, type FileReader } from './kept-file.ts'
import { hasSignature, isLinkable, isSignedBy, signedUrlOf, signUrl, type Signed } from '../signed-url.ts'

export interface Links {
  /** The longest time that a link may be good. */
  readonly maxAgeMs: number
  /** The URL with its signature. Fails with Unavailable where the keys cannot be used. */
  sign(signed: Signed): string
  /** Who has `url`, which is below the base path. Fails with PermissionDenied for what is not signed, or not any more; with Unavailable where the keys cannot be used. */
  bearer(method: string, url: string): Caller
  close(): void
}

/** What may be signed, and the right that it is. */
export const LINKED: Readonly<Record<string, Action>> = { GET: 'read', PUT: 'write' }

/** The file of keys is read again when it changes; one that cannot be used changes nothing, and is logged. */
export async function openLinks({ keysFile, maxAgeMs }: LinksDefinition, logger: Logger): Promise<Links> {
  const file = await keepFile(keysFile, keysReader(keysFile), logger)
  const known = (): readonly LinkKey[] => {
    const keys = file.current()
    if (keys === undefined) throw unusable()
    return keys
  }
  return {
    maxAgeMs,
    sign: signed =>
      signUrl(
        known().find(({ isRetired }) => !isRetired)!,
        signed,
      ),
    bearer: (method, url) => bearerOf(known(), method, url),
    close: () => file.close(),
  }
}

function keysReader(path: string): FileReader<readonly LinkKey[]> {
  return {
    read: async () => {
      const { keys, faults } = parseLinkKeys(await readTextFile(path), path)
      return { content: keys, faults }
    },
    unreadable: error => `${path}: ${unreadable(error, 'a file of keys')}`,
    describe: keys => [{ keys: keys.length }, 'the keys of links were read again'],
    unusable: 'the keys of links cannot be used: what they were before still holds',
  }
}

function bearerOf(keys: readonly LinkKey[], method: string, url: string): Caller {
  const signed = signedUrlOf(method, url)
  const key = keys.find(({ id }) => id === signed?.keyId)
  const action = signed && (Object.hasOwn(LINKED, signed.method) ? LINKED[signed.method] : undefined)
  if (signed === undefined || key === undefined || action === undefined) throw notValid()
  if (!isSignedBy(key, signed) || !isLinkable(signed)) throw notValid()
  if (Date.now() >= Number(signed.expires) * 1000) throw notValid()
  return {
    name: `link:${key.id}`,
    seesAll: false,
    // Of what, the URL says, which is the one that was signed.
    judge: access =>
      Promise.resolve(access.action === action && isRunReference(access.of) ? 'allowed' : 'forbidden'),
  }
}

/** Listens to `links` where a URL is signed, to nothing else that comes with it, and otherwise to `authority`. Without links nothing that is signed is good. */
export function orByLink(authority: Authority, links: Links | undefined): Authority {
  return {
    isOpen: authority.isOpen === true,
    recognise: async (request, signal) => {
      const { method = '', url = '' } = request
      if (!hasSignature(url)) return authority.recognise(request, signal)
      if (links === undefined) throw notValid()
      return links.bearer(method, url)
    },
    close: () => {
      authority.close?.()
      links?.close()
    },
  }
}

/** The same for everything that can be wrong: who has no link learns nothing of those of others. */
function notValid(): AppError {
  return new AppError(
    'PermissionDenied',
    'This link is not valid, or not any more: it has expired, or is not what was signed, to the letter. Ask for a new one.',
    { op: 'admit' },
  )
}

function unusable(): AppError {
  return new AppError(
    'Unavailable',
    'Links cannot be signed or checked, because their keys cannot be used.',
    {
      op: 'admit',
    },
  )
}
