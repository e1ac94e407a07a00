// Uploads of Polyaxon's client.
import { AppError } from '../../errors.ts'
import type { PolyaxonAsked } from './asked.ts'

/** A form with the file first, and then what is to become of it. */
export function answerStreamsUpload(_asked: PolyaxonAsked, _kind: 'artifact' | 'artifacts'): Promise<void> {
  return Promise.reject(new AppError('Unsupported', 'Uploads are not possible here.', { op: 'resolve' }))
}
