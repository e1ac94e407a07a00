// The ways in which callers are recognised, put together.
import type { IncomingMessage } from 'node:http'
import { AppError } from '../../errors.ts'
import type { Authority, Caller } from '../gate.ts'
import { identityOf, type Identity } from '../identity.ts'

/** One way to recognise callers. */
export interface Mode {
  /**
   * Who sends `request`, whose Authorization or cookie says `identity`; undefined for what this way knows nothing of. Rejects where it knows that it is not true (Unauthenticated,
   * PermissionDenied), or cannot know (Unavailable).
   */
  recognise(request: IncomingMessage, identity: Identity, signal: AbortSignal): Promise<Caller | undefined>
  /** Ends what it holds. */
  close?(): void
}

/**
 * Asks `modes` in turn. What none of them knows is refused, except that who says nothing is `unnamed`, where that is given.
 */
export function authorityOf(modes: readonly Mode[], unnamed: Caller | undefined): Authority {
  return {
    isOpen: unnamed !== undefined,
    recognise: async (request, signal) => {
      const identity = identityOf(request.headers)
      for (const mode of modes) {
        const caller = await mode.recognise(request, identity, signal)
        if (caller !== undefined) return caller
      }
      const isUnnamed = identity.scheme === 'none' && request.headers.authorization === undefined
      if (isUnnamed && unnamed !== undefined) return unnamed
      throw new AppError(
        'Unauthenticated',
        isUnnamed
          ? 'Say who you are: with a token as Authorization: Bearer TOKEN, or as the password of a user (curl -u :TOKEN).'
          : 'These credentials are not valid here, or not any more.',
        { op: 'admit' },
      )
    },
    close: () => modes.forEach(mode => mode.close?.()),
  }
}
