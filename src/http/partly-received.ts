// The failure of a form of which not every file is stored: besides what went wrong, it says what has changed.
import { AppError } from '../errors.ts'

/** `path` is the name of the file in the form. */
export type ReceivedFile =
  | {
      readonly path: string
      readonly size: number
      readonly etag: string
      /** As for a PUT of it: whether it is new or replaces one. */
      readonly status: 201 | 204
    }
  | { readonly path: string; readonly error: AppError }

/** Of the kind of `error`, which is the failure of the form or of a file in it. */
export class PartlyReceived extends AppError {
  /** Every file that was come to, in the order of the form. */
  readonly files: readonly ReceivedFile[]

  constructor(error: AppError, files: readonly ReceivedFile[]) {
    const { message, path, temporary, trouble } = error
    super(error.kind, files.length > 1 ? `${countOf(files)} ${message}` : message, {
      op: 'receive',
      ...(path !== undefined && { path }),
      temporary,
      ...(trouble !== undefined && { trouble }),
      cause: error,
    })
    this.files = files
  }
}

function countOf(files: readonly ReceivedFile[]): string {
  const stored = files.filter(file => !('error' in file)).length
  return `Of the ${files.length} files that were read ${stored} are stored: see files. The first failure:`
}
