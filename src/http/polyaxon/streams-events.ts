// What a run has recorded of itself: its events, and its use of resources.
import { AppError } from '../../errors.ts'
import type { PolyaxonAsked } from './asked.ts'

export function answerEvents(_asked: PolyaxonAsked, _kind: string): Promise<void> {
  return Promise.reject(new AppError('Unsupported', 'Events are not served here.', { op: 'resolve' }))
}

/** Of several runs, which the parameter `runs` names; the reference has none. */
export function answerMultiRunEvents(_asked: PolyaxonAsked, _kind: string): Promise<void> {
  return Promise.reject(new AppError('Unsupported', 'Events are not served here.', { op: 'resolve' }))
}

export function answerResources(_asked: PolyaxonAsked): Promise<void> {
  return Promise.reject(new AppError('Unsupported', 'Resources are not served here.', { op: 'resolve' }))
}
