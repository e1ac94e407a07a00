// Callers who say nothing of themselves, or to whom nobody listens.
import { AppError } from '../../errors.ts'
import { ANONYMOUS, type Authority, type Caller } from '../gate.ts'

/** Everybody who can reach the service: reads everything and, with `changes`, may change everything too. */
function anonymous(changes: boolean, refusal: () => AppError): Caller {
  return {
    name: ANONYMOUS,
    seesAll: true,
    judge: ({ action }) =>
      action === 'read' || changes ? Promise.resolve('allowed') : Promise.reject(refusal()),
  }
}

/** Listens to no credentials. */
export function openToAll(changes: boolean): Authority {
  const caller = { ...anonymous(changes, changesOff), seesMetrics: true }
  return { isOpen: true, recognise: () => Promise.resolve(caller) }
}

/** Who could say more: what needs credentials asks for them. */
export function unnamed(changes: boolean): Caller {
  return anonymous(changes, changesNeedName)
}

function changesOff(): AppError {
  return new AppError(
    'PermissionDenied',
    'Changes are switched off: whoever can reach this address could make them. An operator can allow that by server.allowUnauthenticatedChanges, or say by auth who may.',
    { op: 'admit' },
  )
}

function changesNeedName(): AppError {
  return new AppError(
    'Unauthenticated',
    'Everybody may read here, but who changes something has to say who it is: with a token as Authorization: Bearer TOKEN.',
    { op: 'admit' },
  )
}
