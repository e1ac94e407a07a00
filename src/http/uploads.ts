// Resumable uploads as a part of the service: where their requests go, and how they end with it.
import type { RequestHandler } from 'express'
import { isBelow } from './below.ts'
import { answerResumable } from './routes/resumable.ts'
import type { ResumableDependencies } from './routes/resumable-content.ts'
import { Turns } from './turns.ts'

export interface Uploads {
  /** Takes requests to `/uploads` and below it, and passes on all others. */
  readonly handler: RequestHandler
  /** After `closing`: resolves when what has been received is kept. */
  ended(): Promise<void>
}

const FOLDER = '/uploads'

export function createUploads(given: Omit<ResumableDependencies, 'turns'>): Uploads {
  const turns = new Turns()
  const dependencies = { ...given, turns }
  return {
    handler: (request, response, next) => {
      const { url } = request
      if (isBelow(FOLDER, url))
        answerResumable(dependencies, url.slice(FOLDER.length), request, response).catch(next)
      else next()
    },
    ended: () => turns.stop(),
  }
}
