// What a browser may do with what comes from here, most of which somebody's run made.
import type { RequestHandler } from 'express'

/**
 * On every artifact: nothing. No scripts, no same origin, no type of its own choice, on every status and kind, so that no flag or range opens a way around it.
 */
export const ISOLATION = {
  'Content-Security-Policy': 'sandbox',
  'X-Content-Type-Options': 'nosniff',
} as const

/**
 * Middleware that keeps pages of other sites from taking any answer in as an image, a script or the like (the Cross-Origin-Resource-Policy of the Fetch standard): browsers send cookies along with what those ask
 * for, and side channels read what is in their process.
 *
 * Where pages of other `origins` may use the service, so may those of its own site: dashboards are most often on another host of it, and show images without asking by CORS.
 */
export function keepToItself(origins: ReadonlySet<string>): RequestHandler {
  const policy = origins.size > 0 ? 'same-site' : 'same-origin'
  return (_request, response, next) => {
    response.setHeader('Cross-Origin-Resource-Policy', policy)
    next()
  }
}
