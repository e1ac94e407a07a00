// The logs of a run.
import { AppError } from '../../errors.ts'
import type { PolyaxonAsked } from './asked.ts'

export function answerLogs(_asked: PolyaxonAsked): Promise<void> {
  return Promise.reject(new AppError('Unsupported', 'Logs are not served here.', { op: 'resolve' }))
}
