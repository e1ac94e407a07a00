// Answers whose bytes come from somewhere else: from the store itself, or from the web server in front.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import type { DirectDelivery } from '../store/store.ts'
import type { Plan } from './plan.ts'

/**
 * Conditions that are about a validator of ours and that a GET passed. Whoever delivers evaluates the same fields again, against a validator of its own, and would
 * answer 412 where we would not.
 */
const OUR_CONDITIONS = ['if-match', 'if-unmodified-since'] as const

interface DeliveryRequest {
  readonly method?: string | undefined
  readonly headers: IncomingHttpHeaders
}

/** Whether anybody else's answer to the same request could be as good as ours. */
export function canDeliverElsewhere({ method, headers }: DeliveryRequest): boolean {
  return method === 'GET' && OUR_CONDITIONS.every(name => headers[name] === undefined)
}

/** The only ranges that all stores know: Azure has none of the last bytes, and of several ones a store sends the whole, or an error. */
const KNOWN_RANGE = /^bytes=\d+-\d*$/

/**
 * Whether `delivery` leads to what was planned, a whole content with `status` 200 or a part of it with 206.
 *
 * A client takes its Range and If-Range along to a signed URL. Many an object store ignores If-Range, as MinIO does, and none knows our tags: a part of another content would
 * be joined to what the client has. The web server in front gets our validators with the answer, and compares those.
 */
export function leadsToPlanned(
  delivery: DirectDelivery,
  { headers: { range, 'if-range': ifRange } }: DeliveryRequest,
  { status }: Pick<Plan, 'status'>,
): boolean {
  if (delivery.type !== 'redirect') return true
  return ifRange === undefined && (range === undefined || (status === 206 && KNOWN_RANGE.test(range)))
}

// Both are printable ASCII to their ends, so that nothing of a name can end the header line or begin another one.
const SIGNED_URL = /^https?:\/\/[!-~]+$/
const INTERNAL_URI = /^\/(?!\/)[!-~]+$/

/**
 * Answers as `delivery` says. `headers` describe the whole content, without its length and its ranges.
 *
 * A signed URL is a key to the file, so nobody keeps the answer that holds it. The web server in front decides about ranges and lengths by itself; from us it takes the
 * media type, the disposition and the caching, and the other headers only where its configuration hands them on.
 */
export function deliver(
  response: ServerResponse,
  delivery: DirectDelivery,
  headers: Readonly<Record<string, string>>,
): void {
  if (delivery.type === 'redirect') {
    if (!SIGNED_URL.test(delivery.url)) throw badDelivery('a URL')
    response.writeHead(307, {
      Location: delivery.url,
      'Cache-Control': 'no-store',
      'Content-Length': 0,
    })
    response.end()
    return
  }
  if (!INTERNAL_URI.test(delivery.uri)) throw badDelivery('an internal URI')
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.statusCode = 200
  response.setHeader('X-Accel-Redirect', delivery.uri)
  response.setHeader('Content-Length', 0)
  response.end()
}

function badDelivery(what: string): AppError {
  return new AppError('Internal', 'The service failed. The request id finds the reason in its log.', {
    op: 'open',
    cause: new Error(`The store gave ${what} that cannot be sent.`),
  })
}
