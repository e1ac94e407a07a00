// Answers in the forms that Polyaxon's clients read.
import type { Request, Response } from 'express'
import { ISOLATION } from '../isolation.ts'
import { failureJson, sendFailure, type Problem } from '../problem.ts'
import { begun } from '../routes/listing.ts'
import { sendText } from '../send.ts'
import type { PolyaxonAsked } from './asked.ts'

/**
 * JSON that is made while it is sent: without a length, so that its end is the proof that it is whole. What fails before its first piece fails so for HEAD too.
 */
export async function sendJsonText(
  { response, method, signal }: PolyaxonAsked,
  text: AsyncGenerator<string> | string,
): Promise<void> {
  const chunks = typeof text === 'string' ? [text] : await begun(text, method)
  const head = (): void => {
    response.statusCode = 200
    response.setHeader('Content-Type', 'application/json')
    response.setHeader('Cache-Control', 'private, no-cache')
    for (const [name, value] of Object.entries(ISOLATION)) response.setHeader(name, value)
  }
  await sendText(response, chunks, { method, signal, head })
}

/** The answer to an upload, which has no content. */
export function sendEmpty(response: Response): void {
  response.statusCode = 200
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Length', 0)
  response.end()
}

/** A failure as Django REST framework words it; it says no more of what is not there. */
export function sendFailureDetail(request: Request, response: Response, problem: Problem): void {
  const { status, detail } = problem
  const body = { detail: status === 404 ? 'Not found.' : detail }
  sendFailure(request, response, problem, 'application/json', failureJson(body))
}

/** A failure as the sentence that the client shows to its user. */
export function sendFailureText(request: Request, response: Response, problem: Problem): void {
  sendFailure(request, response, problem, 'text/plain; charset=utf-8', problem.detail)
}
