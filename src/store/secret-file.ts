// The files that an operator names beside the secret: certificates, a key.
import { isAppError } from '../errors.ts'
import { ObjectFailure } from './object-client.ts'
import { readSecret } from './secret.ts'

/**
 * The text of the file at `path`, read like a secret's: regular files of limited size only. `what` names it for clients, who must not see the path.
 *
 * Rejects with ObjectFailure (`misconfigured`).
 */
export async function readNamedFile(path: string, what: string): Promise<string> {
  try {
    const { text = '' } = await readSecret({ label: what, values: {}, files: [{ key: 'text', path }] })
    return text
  } catch (cause) {
    if (!isAppError(cause)) throw cause
    throw new ObjectFailure('misconfigured', { cause, advice: `${what} cannot be read.` })
  }
}

/** The certificates, in PEM, of the definition's `caFile`, if it has one. Rejects as `readNamedFile`, and where the file holds none. */
export async function readCertificates(caFile: string | undefined): Promise<string | undefined> {
  if (caFile === undefined) return undefined
  const pem = await readNamedFile(caFile, 'The file of its caFile')
  if (!pem.includes('-----BEGIN CERTIFICATE-----'))
    throw new ObjectFailure('misconfigured', {
      advice: 'The file of its caFile holds no certificate in PEM.',
    })
  return pem
}
