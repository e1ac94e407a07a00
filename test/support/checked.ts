// The plain client, holding every answer against the API description.
import { parseDescription } from '../../src/http/description.ts'
import { createResponseCheck } from '../openapi/response-check.ts'
import { ask as plainAsk } from './client.ts'
import type { Answer, Ask } from './client.ts'
import { description } from './service.ts'

const check = createResponseCheck(parseDescription(description))

/** As `ask`, for a service without a base path; throws when the answer is not one that the description declares. */
export async function ask(url: string, options: Ask = {}): Promise<Answer> {
  const answer = await plainAsk(url, options)
  const headers = new Headers()
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined) headers.set(name, String(value))
  check({
    method: options.method ?? 'GET',
    url: url.slice(new URL(url).origin.length),
    status: answer.status,
    headers,
    body: answer.text,
  })
  return answer
}
