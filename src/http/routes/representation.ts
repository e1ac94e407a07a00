// Any Representation as an answer: conditions, ranges, and the headers that every artifact carries.
import type { Representation } from '../../content/representation.ts'
import { AppError, isAppError } from '../../errors.ts'
import { plan } from '../plan.ts'
import { send } from '../send.ts'
import type { Asked } from './outputs.ts'

/**
 * What a browser may do with bytes that somebody's run made: nothing. No scripts, no same origin, no type of its own choice,
 * on every status and kind, so that no flag or range opens a way around it.
 */
const ISOLATION = { 'Content-Security-Policy': 'sandbox', 'X-Content-Type-Options': 'nosniff' } as const

/** A client may keep it, asks every time whether it is still good, and shares it with nobody. */
const CACHE = { 'Cache-Control': 'private, no-cache' } as const

/** How often a representation that changed before its first byte is made anew. */
const ATTEMPTS = 3

export interface Answer<R extends Representation> {
  open(): Promise<R>
  headers(representation: R): Promise<Record<string, string>> | Record<string, string>
}

/** Opens, decides and sends. What changes before the first byte is opened again; what keeps changing is Unavailable. */
export async function answerRepresentation<R extends Representation>(
  asked: Asked,
  answer: Answer<R>,
): Promise<void> {
  let refusal: AppError | undefined
  for (let attempt = 1; ; attempt++) {
    try {
      refusal = await answerOnce(asked, answer)
      break
    } catch (error) {
      if (asked.response.headersSent || asked.response.destroyed || !isAppError(error, 'Changed')) throw error
      if (attempt >= ATTEMPTS)
        throw new AppError(
          'Unavailable',
          'The outputs keep changing while they are read. Try again when they are at rest.',
          {
            op: 'read',
            cause: error,
          },
        )
    }
  }
  if (refusal !== undefined) throw refusal
}

/** The refusal that the request's own conditions ask for; undefined when it was answered. */
async function answerOnce<R extends Representation>(
  asked: Asked,
  answer: Answer<R>,
): Promise<AppError | undefined> {
  const { request, response, method, signal } = asked
  const representation = await answer.open()
  let handedOver = false
  try {
    const decided = plan({ method, headers: request.headers }, representation, { nowMs: Date.now() })
    if (decided.status === 412)
      return new AppError(
        'Changed',
        'What is there now is not what the request is about: a precondition failed.',
      )
    if (decided.status === 416) {
      response.setHeader('Content-Range', decided.headers['Content-Range'] ?? '')
      return new AppError(
        'RangeNotSatisfiable',
        `No byte of the range exists: there are ${representation.size} bytes.`,
      )
    }
    const own = decided.status === 304 ? {} : { ...ISOLATION, ...(await answer.headers(representation)) }
    handedOver = true
    await send(response, { ...decided, headers: { ...CACHE, ...own, ...decided.headers } }, representation, {
      method,
      signal,
    })
    return undefined
  } finally {
    if (!handedOver) await representation.close()
  }
}
