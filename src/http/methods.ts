// Methods that a URL does not take.
import type { ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

/** Says in Allow which methods there are (RFC 9110 15.5.6), and gives the refusal of `method`. */
export function methodRefused(
  method: string,
  response: ServerResponse,
  allowed: readonly string[],
  reason = '; the Allow header says what is.',
): AppError {
  response.setHeader('Allow', allowed.join(', '))
  return new AppError('Unsupported', `${method} is not possible here${reason}`, { op: 'resolve' })
}
