// What the form of an upload says beside its bytes: the name of the file, and what is to become of it.
import { AppError } from '../../errors.ts'
import { parsePath, ROOT, type ArtifactPath } from '../../store/path.ts'
import { cleanPath } from './clean-path.ts'

export interface UploadFields {
  /** Whether the file is an archive, and the files in it are meant. */
  readonly untar: boolean
  /** Whether what is there may be replaced. */
  readonly overwrite: boolean
  /** The folder in the run. */
  readonly path: ArtifactPath
  readonly connection: string | undefined
}

/** Reads the `json` field. What it leaves out is as Polyaxon's own service has it. Fails with InvalidArgument for anything else than such an object, and as `cleanPath`. */
export function parseUploadFields(text: string): UploadFields {
  const fields = text === '' ? {} : objectIn(text)
  return {
    untar: valueOf(fields, 'untar', 'boolean') ?? true,
    overwrite: valueOf(fields, 'overwrite', 'boolean') ?? true,
    path: cleanPath(valueOf(fields, 'path', 'string') ?? ''),
    connection: valueOf(fields, 'connection', 'string') || undefined,
  }
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  const value = parsed(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid("The part 'json' of the form is not a JSON object.")
  return value as Record<string, unknown>
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid("The part 'json' of the form is not JSON.", error)
  }
}

interface Types {
  readonly boolean: boolean
  readonly string: string
}

/** `null` is how Python says that nothing is said. */
function valueOf<T extends keyof Types>(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  type: T,
): Types[T] | undefined {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (value === undefined || value === null) return undefined
  if (typeof value === type) return value as Types[T]
  throw invalid(`'${name}' in the part 'json' of the form is not a ${type}.`)
}

/** The name of the file itself: clients send the whole path that it has on their disk, of whichever system. InvalidPath for one that no file can have here. */
export function fileNameOf(name: string): ArtifactPath {
  const last = parsePath(name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1))
  if (last === ROOT) throw new AppError('InvalidPath', 'The file has no name.', { op: 'parse', path: name })
  if (last.includes('\ufffd'))
    throw new AppError('InvalidPath', 'The name of the file is not UTF-8.', { op: 'parse', path: last })
  return last
}

function invalid(message: string, cause?: unknown): AppError {
  return new AppError('InvalidArgument', message, { op: 'receive', cause })
}
