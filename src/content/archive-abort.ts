// The one way in which work for an archive ends when nobody wants it any more.
import { AppError } from '../errors.ts'

export function aborted(): AppError {
  return new AppError('Aborted', 'The archive is not wanted any more.', { op: 'read' })
}

/** Fails with Aborted when `signal` is aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted()
}
