// `token`: makes a token, and what the file of tokens needs of it.
import { createHash, randomBytes } from 'node:crypto'

/** Programs that look for secrets in places where none should be find them by their beginning. */
const PREFIX = 'polyaxon-outputs-'
/** As many as the hash has: nobody can try so many tokens, so the hash needs to be neither slow nor salted. */
const BYTES = 32

/** The entry goes to standard output, to be added to the file; the token to standard error, where it stays out of that. */
export function printNewToken(): void {
  const token = PREFIX + randomBytes(BYTES).toString('base64url')
  const sha256 = createHash('sha256').update(token).digest('hex')
  process.stderr.write(`${token}\n`)
  process.stdout.write(
    `  - name: somebody\n    sha256: ${sha256}\n    rights: [read]\n    scopes: [{ owner: somebody }]\n`,
  )
}
