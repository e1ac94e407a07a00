// Files of text that an operator names: what they hold, or why they cannot be read.
import { isAppError } from '../errors.ts'
import { readSecret } from '../store/secret.ts'

/** The text of the file at `path`, of 1 MiB at most. Rejects with AppError, whose cause says what is wrong, for `unreadable`. */
export async function readTextFile(path: string): Promise<string> {
  const { text = '' } = await readSecret({ label: path, values: {}, files: [{ key: 'text', path }] })
  return text
}

/** Why it could not be read, without a full stop: `expected` is what it should be, as "a file of tokens", and `shown` what to call it. */
export function unreadable(error: unknown, expected: string, shown = 'it'): string {
  if (!isAppError(error)) throw error
  const { code } = error.cause as NodeJS.ErrnoException
  const found = `expected the path of ${expected}, but ${shown}`
  if (code === 'ENOENT' || code === 'ENOTDIR') return `${found} does not exist`
  if (code === 'EACCES') return `${found} may not be read by this user`
  return `${found} is no regular file of at most 1 MiB that can be read`
}
