// What operators and programs ask of the service itself: is it alive, what can it do.
import { createHash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'

/** Alive as long as it answers; touches no store, so a hung volume does not get the process killed. */
export const answerHealth: RequestHandler = (_request, response) => {
  sendJson(response, 200, { status: 'ok' })
}

/** A document that stays as it is while the service runs, with a validator for caches. */
export function document(
  body: string,
  mediaType: string,
  headers: Readonly<Record<string, string>> = {},
): RequestHandler {
  const bytes = Buffer.from(body)
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
  return (request: Request, response: Response) => {
    setAll(response, {
      'Content-Type': mediaType,
      'Cache-Control': 'no-cache',
      'X-Content-Type-Options': 'nosniff',
      ETag: etag,
      ...headers,
    })
    // Express compares the validators of the request with the headers just set.
    if (request.fresh) {
      response.removeHeader('Content-Type')
      response.status(304).end()
      return
    }
    response.setHeader('Content-Length', bytes.length)
    response.end(request.method === 'HEAD' ? undefined : bytes)
  }
}

/** As it is: Express's own `set` would add a charset to types that have none. */
function setAll(response: Response, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

export function sendJson(response: Response, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.statusCode = status
  setAll(response, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.setHeader('Content-Length', bytes.length)
  response.end(response.req.method === 'HEAD' ? undefined : bytes)
}
