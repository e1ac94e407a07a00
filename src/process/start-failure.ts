// Why the service cannot start, when it is neither its configuration nor its own fault: a port in use, a folder that may not be made.

/** `message` is one line for the operator: what failed, and what to do. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure'
}
