// Pages of other sites that may talk to this service (the CORS protocol of the Fetch standard): those that the operator names, and nobody else's.
import type { RequestHandler } from 'express'
import { describe } from './exchange.ts'
import { OMITTED } from './omitted.ts'

/** Every method of every surface; what a URL does not take is refused when it comes. */
const METHODS = 'GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS'
/** Fields beyond the safelisted ones that a page may send: of HTTP, of Polyaxon's dashboards and of tus. */
const SENT =
  'Authorization, Content-Type, X-POLYAXON-SERVICE, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, ' +
  'Content-Digest, Repr-Digest, Want-Repr-Digest, X-Request-Id, ' +
  'Tus-Resumable, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Offset, Upload-Checksum'
/** Fields that a page may read: the dashboards take the name of a download from Content-Disposition. */
const READ =
  'Content-Disposition, Content-Length, Content-Range, Accept-Ranges, ETag, Repr-Digest, Link, Location, Retry-After, Server-Timing, X-Request-Id, ' +
  `${OMITTED}, ` +
  'Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires'
/** Browsers keep an answer no longer than that. */
const MAX_AGE_S = 7200

/** Middleware that answers preflights of `origins`, and lets their pages read every other answer, with the cookies of their users. */
export function cors(origins: ReadonlySet<string>): RequestHandler {
  return (request, response, next) => {
    response.appendHeader('Vary', 'Origin')
    const { origin = '', 'access-control-request-method': wanted } = request.headers
    if (!origins.has(origin)) {
      next()
      return
    }
    response.setHeader('Access-Control-Allow-Origin', origin)
    response.setHeader('Access-Control-Allow-Credentials', 'true')
    // What Server-Timing says is for them too.
    response.setHeader('Timing-Allow-Origin', origin)
    if (request.method !== 'OPTIONS' || wanted === undefined) {
      response.setHeader('Access-Control-Expose-Headers', READ)
      next()
      return
    }
    describe(response, { route: '*', answer: 'preflight' })
    response.setHeader('Access-Control-Allow-Methods', METHODS)
    response.setHeader('Access-Control-Allow-Headers', SENT)
    response.setHeader('Access-Control-Max-Age', MAX_AGE_S)
    response.statusCode = 204
    response.end()
  }
}
