// A failure whose body has the form that a client of 0.x expects of it.
import { AppError } from '../../errors.ts'

export class Refusal extends AppError {
  /** Sent as JSON. */
  readonly body: unknown

  constructor(cause: AppError, kind: 'InvalidArgument' | 'NotFound', body: unknown) {
    super(kind, cause.message, { op: cause.op, path: cause.path, cause })
    this.body = body
  }
}
