// Why an archive is not unpacked (any further), in words for whoever sent it.
import { AppError } from '../errors.ts'

const SHOWN_CHARACTERS = 200

/** The bytes are not an archive of the format, or not the ones that its writer wrote. */
export function damaged(why: string, cause?: unknown): AppError {
  return new AppError('InvalidArgument', `The archive is damaged: ${why}.`, { op: 'unpack', cause })
}

export function truncated(where: string, cause?: unknown): AppError {
  return new AppError('InvalidArgument', `The archive is truncated: it ends ${where}.`, {
    op: 'unpack',
    cause,
  })
}

/** The archive may be whole, but this member of it is nothing that can be unpacked here. */
export function refused(name: string, why: string): AppError {
  return new AppError('InvalidArgument', `The member ${quoted(name)} of the archive is refused: ${why}.`, {
    op: 'unpack',
  })
}

export function tooLarge(why: string): AppError {
  return new AppError('TooLarge', `The archive is too large: ${why}.`, { op: 'unpack' })
}

export function unwanted(cause?: unknown): AppError {
  return new AppError('Aborted', 'The archive is not to be unpacked any further.', { op: 'unpack', cause })
}

export function unforeseen(cause: unknown): AppError {
  return new AppError('Internal', 'The archive could not be unpacked for an unforeseen reason.', {
    op: 'unpack',
    cause,
  })
}

/** A name from an archive as a part of a message: short, and without anything that moves a cursor or turns the direction of writing. */
export function quoted(name: string): string {
  const shown = name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name
  return `'${shown.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped)}'`
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`
}
