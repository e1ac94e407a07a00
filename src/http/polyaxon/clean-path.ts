// Paths as Polyaxon's clients write them.
import { AppError } from '../../errors.ts'
import { parsePath, type ArtifactPath } from '../../store/path.ts'

/**
 * The path that `text` means to Polyaxon's services: slashes around it, empty segments and `.` say nothing, so that `/`, `.` and '' are the run itself.
 *
 * InvalidPath, in their words, for one that climbs, also where it comes down again; otherwise as `parsePath`.
 */
export function cleanPath(text: string): ArtifactPath {
  const segments = text.split('/').filter(segment => segment !== '' && segment !== '.')
  if (segments.includes('..'))
    throw new AppError('InvalidPath', 'Invalid path: traversal detected', { op: 'parse', path: text })
  return parsePath(segments.join('/'))
}
