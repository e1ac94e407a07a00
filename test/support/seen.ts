// What a client can see of an answer.
import type { Answer } from './client.ts'

/** All of it but what is of the moment: two answers that are alike are so to their clients. */
export function seen({ status, headers, text }: Answer): Pick<Answer, 'status' | 'headers' | 'text'> {
  const { date: _date, 'server-timing': _times, 'x-request-id': id, ...others } = headers
  return { status, headers: others, text: text.replaceAll(String(id), 'ID') }
}
