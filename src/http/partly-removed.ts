// The failure of a removal that removed a part: besides what went wrong, it says what has changed.
import { AppError } from '../errors.ts'
import type { Removal } from '../store/store.ts'

/** Of the kind of the first failure. */
export class PartlyRemoved extends AppError {
  readonly removal: Removal

  /** `removal` has at least one failure. */
  constructor(removal: Removal) {
    const { removed, failures } = removal
    const { path, error } = failures[0]!
    super(
      error.kind,
      `Not everything could be removed; ${removed} files were, and ${failures.length} are named in failures. The first: ${error.message}`,
      {
        op: 'remove',
        path,
        temporary: error.temporary,
        ...(error.trouble !== undefined && { trouble: error.trouble }),
        cause: error,
      },
    )
    this.removal = removal
  }
}
