// Callers who say nothing of themselves, or to whom nobody listens.
import { AppError } from '../../errors.ts'
import { ANONYMOUS, type Authority, type Caller } from '../gate.ts'

/** Everybody who can reach the service: reads everything and, with `changes`, may change everything too. */
export function anonymous(changes: boolean): Caller {
  return {
    name: ANONYMOUS,
    seesAll: true,
    judge: ({ action }) =>
      action === 'read' || changes ? Promise.resolve('allowed') : Promise.reject(changesOff()),
  }
}

/** Listens to no credentials. */
export function openToAll(changes: boolean): Authority {
  const caller = anonymous(changes)
  return { recognise: () => Promise.resolve(caller) }
}

function changesOff(): AppError {
  return new AppError(
    'PermissionDenied',
    'Changes are switched off: whoever can reach this address could make them. An operator can allow that by server.allowUnauthenticatedChanges, or say by auth who may.',
    { op: 'admit' },
  )
}
