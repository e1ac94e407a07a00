// What tells a request that changes something from one that reads, and its failures from those of reading.
import { AppError } from '../errors.ts'
import type { Action } from './gate.ts'
import type { Query } from './validate.ts'

/** What a request does to what its URL names. A POST that asks for an archive, and nothing else, reads. */
export function actionsOf(method: string, query: Query): readonly Action[] {
  if (method === 'PUT') return ['write']
  if (method === 'DELETE') return ['delete']
  if (method !== 'POST') return ['read']
  if (query.delete === true) return ['delete']
  if (query.archive !== undefined) return ['read']
  if (query.moveTo !== undefined) return ['read', 'write', 'delete']
  return query.copyTo === undefined ? ['write'] : ['read', 'write']
}

export function isChange(actions: readonly Action[]): boolean {
  return actions.some(action => action !== 'read')
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
