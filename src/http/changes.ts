// What tells a request that changes something from one that reads, and its failures from those of reading.
import { AppError } from '../errors.ts'
import type { Query } from './validate.ts'

/** Whether a request changes something. A POST that asks for an archive, and nothing else, reads. */
export function isChange(method: string, query: Query): boolean {
  const reads = query.archive !== undefined && query.delete !== true
  return method === 'PUT' || method === 'DELETE' || (method === 'POST' && !reads)
}

/**
 * The failure of a change as its client is to see it. A folder that is in the way, or a file where a folder would have to be, is a conflict with what is there, and not a wrong
 * request, as it is where one reads.
 */
export function asConflict(error: unknown): unknown {
  if (!(error instanceof AppError) || (error.kind !== 'IsDirectory' && error.kind !== 'NotDirectory'))
    return error
  const { message, op, path, cause } = error
  return new AppError('AlreadyExists', message, {
    ...(op !== undefined && { op }),
    ...(path !== undefined && { path }),
    cause,
  })
}
