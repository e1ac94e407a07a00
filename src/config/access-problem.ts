// Whether a driver can work with what gives access to a store, as far as it tells without asking the store: the values themselves, which no message repeats.
import { isAppError } from '../errors.ts'
import { azureAccess } from '../store/azure-access.ts'
import type { ObjectStoreDefinition } from '../store/definition.ts'
import { findKey } from '../store/gcs-key.ts'
import { ObjectFailure } from '../store/object-client.ts'
import { s3Settings } from '../store/s3-settings.ts'
import { readSecret, type SecretValues } from '../store/secret.ts'

/**
 * What the driver of `definition` would say at each request, in the words in which it would; undefined where it can make a client. Secrets are read, and the key file that one of
 * GCS may name.
 */
export async function accessProblem(definition: ObjectStoreDefinition): Promise<string | undefined> {
  const { secret } = definition
  try {
    await tryValues(definition, secret === undefined ? {} : await readSecret(secret))
    return undefined
  } catch (error) {
    const reason =
      error instanceof ObjectFailure ? error.advice : isAppError(error) ? error.message : undefined
    if (reason === undefined) throw error
    const subject = secret === undefined ? '' : `${secret.label} cannot be used: `
    return `${subject}${reason.replace(/\.$/, '')}`
  }
}

async function tryValues(definition: ObjectStoreDefinition, values: SecretValues): Promise<void> {
  switch (definition.kind) {
    case 's3':
      s3Settings(definition, values)
      return
    case 'gcs':
      await findKey(values, definition.secret)
      return
    case 'azure':
      azureAccess(definition, values)
  }
}
