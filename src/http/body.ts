// The body of a request: what its head says of it, asking for it, and taking leave of one that is not read to its end.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

/** Read after a refusal, so that it gets to a client that is still sending: closing with unread bytes resets the connection, and takes the answer along. */
const LINGER_BYTES = 16 * 1024 * 1024
const LINGER_MS = 2_000

/** Answers that are whole, but not ended yet. */
const lingering = new WeakSet<ServerResponse>()

/** Answers that say what came of a change, whatever is wrong with the body. */
const changing = new WeakSet<ServerResponse>()

/** Answers in whose place the connection was told that the body is no body. */
const refused = new WeakSet<ServerResponse>()

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** Bytes of the body; undefined where only its end will tell. One without both fields is empty (RFC 9112 6.3). */
export function bodySize({ headers }: IncomingMessage): number | undefined {
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : undefined
}

/**
 * Asks for the body where the client waits for that (RFC 9110 10.1.1). Called when nothing is left that would refuse it: from here on it costs the client its bytes.
 */
export function invite({ headers, httpVersionMinor }: IncomingMessage, response: ServerResponse): void {
  const waits = httpVersionMinor > 0 && /(?:^|\W)100-continue(?:$|\W)/i.test(headers.expect ?? '')
  if (waits && !response.headersSent) response.writeContinue()
}

/** The bytes of the body, asked for. Whoever leaves them before the end can still answer. */
export function bodyBytes(request: IncomingMessage, response: ServerResponse): AsyncIterable<Uint8Array> {
  invite(request, response)
  return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) }
}

/**
 * Begins a change that does not wait for the end of the body. From here on a fault in the body may not be answered as if nothing was done; fails where that has happened.
 */
export function beginChange(response: ServerResponse): void {
  if (refused.has(response))
    throw new AppError('Aborted', 'The body of the request is not valid, and nothing was changed.', {
      op: 'receive',
    })
  changing.add(response)
}

/** Whether a fault in the body that is still coming can be the answer; what would be done before its end is then not begun any more. */
export function refuseBody(response: ServerResponse): boolean {
  if (response.headersSent || response.req.complete || changing.has(response)) return false
  refused.add(response)
  return true
}

/** Whether the client has more to send than was read. */
export function isUnread(request: IncomingMessage): boolean {
  return !request.complete && hasBody(request)
}

/**
 * Ends an answer that has its length and all its other fields with `body`. Where the request was not read to its end, the connection ends with it, but not before the client
 * could see the answer.
 */
export function endAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer | undefined,
): void {
  if (!isUnread(request)) {
    response.end(body)
    return
  }
  response.setHeader('Connection', 'close')
  if (body === undefined) response.flushHeaders()
  else response.write(body)
  lingering.add(response)
  let left = LINGER_BYTES
  const end = (): void => {
    clearTimeout(timer)
    request.off('data', count)
    response.end()
  }
  const count = (chunk: Buffer): void => {
    left -= chunk.length
    if (left < 0) end()
  }
  const timer = setTimeout(end, LINGER_MS)
  request.on('data', count).once('end', end).once('close', end).resume()
}

/** Whether nothing more of the answer is to come, although it is not ended. */
export function isLingering(response: ServerResponse): boolean {
  return lingering.has(response)
}

/**
 * Ends the connection soon after an answer whose request still does not come to its end. Node would wait for as long as a byte comes now and then, to take the next request
 * behind it.
 */
export function boundUnread(request: IncomingMessage, response: ServerResponse): void {
  if (!hasBody(request)) return
  response.once('finish', () => {
    if (request.complete) return
    const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
    request.once('close', () => clearTimeout(timer))
  })
}
