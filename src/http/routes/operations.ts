// What operators and programs ask of the service itself: is it alive, is it ready, what can it do.
import { createHash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { isAppError } from '../../errors.ts'
import type { Runs } from '../../runs/runs.ts'
import { ROOT } from '../../store/path.ts'

/** Alive as long as it answers; touches no store, so a hung volume does not get the process killed. */
export const answerHealth: RequestHandler = (_request, response) => {
  sendJson(response, 200, { status: 'ok' })
}

export interface ReadinessDependencies {
  readonly connections: ReadonlyMap<string, Runs>
  /** Whether new requests are welcome: false while it drains. */
  readonly accepting: () => boolean
  /** Called with what made a store unavailable. */
  readonly onUnavailable: (connection: string, error: unknown) => void
}

/** Ready when it accepts requests and every store answers; 503 says which one does not. */
export function readiness({ connections, accepting, onUnavailable }: ReadinessDependencies): RequestHandler {
  return async (_request, response) => {
    const stores = await Promise.all(
      [...connections].map(async ([name, runs]) => {
        try {
          await runs.store.stat(ROOT)
          return { name, status: 'ok' }
        } catch (error) {
          onUnavailable(name, error)
          return {
            name,
            status: 'unavailable',
            detail: isAppError(error) ? error.message : 'The store failed.',
          }
        }
      }),
    )
    const ready = accepting() && stores.every(store => store.status === 'ok')
    if (!ready) response.setHeader('Retry-After', 5)
    sendJson(response, ready ? 200 : 503, {
      status: accepting() ? (ready ? 'ready' : 'unavailable') : 'draining',
      stores,
    })
  }
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

function sendJson(response: Response, status: number, body: object): void {
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
