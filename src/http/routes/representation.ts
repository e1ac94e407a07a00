// Any Representation as an answer: conditions, ranges, and the headers that every artifact carries.
import type { Representation } from '../../content/representation.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { DirectDelivery } from '../../store/store.ts'
import { canDeliverElsewhere, deliver, leadsToPlanned } from '../delivery.ts'
import { ISOLATION } from '../isolation.ts'
import { plan } from '../plan.ts'
import type { Plan } from '../plan.ts'
import { send } from '../send.ts'
import type { Asked } from './outputs.ts'

/** A client may keep it, asks every time whether it is still good, and shares it with nobody. */
const CACHE = { 'Cache-Control': 'private, no-cache' } as const

/** How often an answer that changed before its first byte is made anew. */
const ATTEMPTS = 3

export interface Answer<R extends Representation> {
  open(): Promise<R>
  /** What describes the content; at no cost where somebody else sends it, who may drop these fields. */
  headers(
    representation: R,
    sentBy: 'us' | 'others',
  ): Promise<Record<string, string>> | Record<string, string>
  /** Where the client of a GET is to have the content instead of from here, if anywhere. */
  elsewhere?(representation: R): Promise<DirectDelivery | undefined>
}

/** Opens, decides and sends. */
export async function answerRepresentation<R extends Representation>(
  asked: Asked,
  answer: Answer<R>,
): Promise<void> {
  const refusal = await untilUnchanged(asked, () => answerOnce(asked, answer))
  if (refusal !== undefined) throw refusal
}

/** What `answer` gives. What changes before the first byte is answered again; what keeps changing is Unavailable. */
export async function untilUnchanged<T>({ response }: Asked, answer: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await answer()
    } catch (error) {
      if (response.headersSent || response.destroyed || !isAppError(error, 'Changed')) throw error
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
    if (decided.status !== 304 && (await deliveredElsewhere(asked, answer, representation, decided)))
      return undefined
    const own =
      decided.status === 304 ? {} : { ...ISOLATION, ...(await answer.headers(representation, 'us')) }
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

/** Whether the answer was to have the content from elsewhere, which is then sent. */
async function deliveredElsewhere<R extends Representation>(
  { request, response }: Asked,
  answer: Answer<R>,
  representation: R,
  decided: Plan,
): Promise<boolean> {
  if (!canDeliverElsewhere(request)) return false
  const delivery = await answer.elsewhere?.(representation)
  if (delivery === undefined || !leadsToPlanned(delivery, request, decided)) return false
  // Fields of a content have no place in a redirect.
  const headers: Record<string, string> = {}
  if (delivery.type === 'x-accel') {
    Object.assign(headers, CACHE, ISOLATION, await answer.headers(representation, 'others'))
    headers['Content-Type'] = representation.mediaType
    for (const name of ['ETag', 'Last-Modified'])
      if (decided.headers[name] !== undefined) headers[name] = decided.headers[name]
  }
  deliver(response, delivery, headers)
  return true
}
