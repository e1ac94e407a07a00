// The query of a request to one of Polyaxon's own URLs, read as its services read it: what they do not know, they ignore.
import { AppError } from '../../errors.ts'

const TRUE = new Set(['y', 'yes', 't', 'true', 'on', '1'])
const FALSE = new Set(['', 'n', 'no', 'f', 'false', 'off', '0', 'none', 'null'])

export class Parameters {
  readonly #values: URLSearchParams

  /** `query` is what follows the question mark. Escapes that are none stay as they are: the dashboards escape nothing. */
  constructor(query: string) {
    this.#values = new URLSearchParams(query)
  }

  /** The last value, as Django has it. */
  text(name: string): string | undefined {
    return this.#values.getAll(name).at(-1)
  }

  /** The values between commas, each once. */
  list(name: string): readonly string[] | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : [...new Set(text.split(',').filter(item => item !== ''))]
  }

  /** In every spelling that a client has for a boolean; false where nothing is said. InvalidArgument for anything else. */
  flag(name: string): boolean {
    const text = this.text(name)?.trim().toLowerCase() ?? ''
    if (TRUE.has(text)) return true
    if (FALSE.has(text)) return false
    throw new AppError('InvalidArgument', `The query parameter '${name}' is either true or false.`, {
      op: 'parse',
    })
  }
}
