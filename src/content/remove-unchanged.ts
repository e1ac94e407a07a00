// Many files that are to go, each only where it is still the one that somebody saw.
import { AppError, isAppError } from '../errors.ts'
import type { ArtifactStore, Entry, Removal, RemovalFailure } from '../store/store.ts'

const AT_ONCE = 16
const REPORTED_FAILURES = 100

/** Removes those of `files` that have not changed and are still there. */
export async function removeUnchanged(
  store: ArtifactStore,
  files: readonly Pick<Entry, 'path' | 'etag'>[],
): Promise<Removal> {
  const failures: RemovalFailure[] = []
  let removed = 0
  for (let i = 0; i < files.length; i += AT_ONCE) {
    const outcomes = await Promise.all(files.slice(i, i + AT_ONCE).map(file => removeOne(store, file)))
    for (const outcome of outcomes)
      if (outcome === 'removed') removed++
      else if (outcome !== 'gone' && failures.length < REPORTED_FAILURES) failures.push(outcome)
  }
  return { removed, failures }
}

async function removeOne(
  store: ArtifactStore,
  { path, etag }: Pick<Entry, 'path' | 'etag'>,
): Promise<'removed' | 'gone' | RemovalFailure> {
  try {
    await store.remove(path, { precondition: { type: 'etag', etags: [etag] } })
    return 'removed'
  } catch (error) {
    if (isAppError(error, 'NotFound', 'Changed')) return 'gone'
    return { path, error: isAppError(error) ? error : unforeseen(error, path) }
  }
}

function unforeseen(cause: unknown, path: string): AppError {
  return new AppError('Internal', 'It could not be removed for an unforeseen reason.', {
    op: 'remove',
    path,
    cause,
  })
}
