// Answers in the forms that Polyaxon's clients read.
import type { Request, Response } from 'express'
import { sendFailure, type Problem } from '../problem.ts'
import { sendText } from '../send.ts'
import type { PolyaxonAsked } from './asked.ts'

/** JSON that is made while it is sent: without a length, so that its end is the proof that it is whole. */
export function sendJsonText(
  { response, method, signal }: PolyaxonAsked,
  text: AsyncIterable<string> | Iterable<string>,
): Promise<void> {
  const head = (): void => {
    response.statusCode = 200
    response.setHeader('Content-Type', 'application/json')
    response.setHeader('Cache-Control', 'private, no-cache')
    response.setHeader('X-Content-Type-Options', 'nosniff')
  }
  return sendText(response, text, { method, signal, head })
}

/** An answer without content: 200 after an upload, 204 after a removal. */
export function sendEmpty(response: Response, status: 200 | 204): void {
  response.statusCode = status
  response.setHeader('Cache-Control', 'no-store')
  if (status === 200) response.setHeader('Content-Length', 0)
  response.end()
}

/** A failure as the sentence that the client shows to its user. */
export function sendFailureText(request: Request, response: Response, problem: Problem): void {
  sendFailure(request, response, problem, 'text/plain; charset=utf-8', problem.detail)
}
