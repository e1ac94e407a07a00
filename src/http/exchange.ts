// What belongs to one request besides its message: an id and the end of its transfer.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

const REQUEST_ID = Symbol('request id')
const ACCEPTABLE_ID = /^[\w.:-]{1,128}$/

type Identified = ServerResponse & { [REQUEST_ID]?: string }

/** The id that a proxy gave in `X-Request-Id`, else a new one; the same for one response, which carries it too. */
export function requestIdOf(request: IncomingMessage, response: ServerResponse): string {
  const known = (response as Identified)[REQUEST_ID]
  if (known !== undefined) return known
  const given = request.headers['x-request-id']
  const id = typeof given === 'string' && ACCEPTABLE_ID.test(given) ? given : randomUUID()
  ;(response as Identified)[REQUEST_ID] = id
  if (!response.headersSent) response.setHeader('X-Request-Id', id)
  return id
}

const transfers = new WeakMap<ServerResponse, AbortController>()

/** A signal that aborts when the connection closes before the response was finished. */
export function transferSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const stop = (): void => {
    if (!response.writableFinished)
      controller.abort(new AppError('Aborted', 'The client closed the connection.'))
  }
  transfers.set(response, controller)
  if (response.destroyed) stop()
  else response.once('close', stop)
  return controller.signal
}

/**
 * Ends the connection at once; with `reason`, that is what ends the transfer.
 *
 * By a reset, not an orderly close: to a client without a length (HTTP/1.0) a close would look like the end of the body.
 */
export function breakOff(response: ServerResponse, reason?: AppError): void {
  if (reason !== undefined) transfers.get(response)?.abort(reason)
  const { socket } = response
  if (socket === null) response.destroy()
  else socket.resetAndDestroy()
}
