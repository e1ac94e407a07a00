// What the readers of all archive formats give: members with their places in the store, and contents that are whole or fail.
import { AppError, isAppError } from '../errors.ts'
import { parsePath, ROOT, type ArtifactPath } from '../store/path.ts'
import { quoted, refused } from './unpack-refusal.ts'

export interface Member {
  /** As the archive has it, for messages. */
  readonly name: string
  /** Relative to the folder that is unpacked into; never its root. */
  readonly path: ArtifactPath
  /** Undefined where only the end of the content tells it. */
  readonly size: number | undefined
  /** Must be read to its end before the next member is asked for. It ends well only when everything that the archive says about it has been found to be true. */
  readonly content: AsyncIterable<Uint8Array>
  /** For a hard link, which has no content of its own: the file in front of it in the archive whose content it has. */
  readonly copyOf?: ArtifactPath
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The name that these bytes are. Fails where they are not UTF-8: a replacement for what cannot be read would give two members one name. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw refused(Buffer.from(bytes).toString('latin1'), 'its name is not UTF-8')
  }
}

/**
 * Where a file called `name` goes. A leading `./`, which `tar -c .` writes, is no part of the place; everything else is up to `parsePath`.
 *
 * Fails with InvalidPath, naming the member.
 */
export function filePath(name: string): ArtifactPath {
  const path = placeOf(name, name.replace(/^(\.\/)+/, ''))
  if (path === ROOT) throw refused(name, 'it has no name')
  return path
}

/** Checks the name of a folder. It is not made: folders appear with what is in them. The folder that is unpacked into may be a member of its own archive (`./`). */
export function checkFolderName(name: string): void {
  if (name === '') throw refused(name, 'it has no name')
  placeOf(name, name.replace(/^(\.\/)+/, '').replace(/^\.$|\/$/, ''))
}

function placeOf(name: string, relative: string): ArtifactPath {
  try {
    return parsePath(relative)
  } catch (error) {
    if (!isAppError(error)) throw error
    const message = `The member ${quoted(name)} of the archive is refused. ${error.message}`
    throw new AppError(error.kind, message, { op: 'unpack', cause: error })
  }
}
