// What the values of a secret must be before a driver takes them for access keys.
import { ObjectFailure } from './object-client.ts'
import type { SecretReference, SecretValues } from './secret.ts'

/**
 * For drivers that found nothing in `values` that gives access: throws ObjectFailure (`credentials`) where an operator named the secret, and else does nothing, so that the
 * surroundings may give it.
 *
 * A secret that was named says who the service is. When it is empty, cut off or meant for another store, the service must not become somebody else (its node, say), or nobody.
 * `names` are what was looked for.
 */
export function refuseWithoutKeys(
  secret: SecretReference | undefined,
  values: SecretValues,
  names: readonly string[],
): void {
  if (secret?.named !== true) return
  const subject = secret.label.charAt(0).toUpperCase() + secret.label.slice(1)
  const broken = Object.keys(values).filter(name => isBrokenJson(values[name]!))
  const detail = broken.length === 0 ? '' : ` ('${broken.join("', '")}' is no valid JSON)`
  throw new ObjectFailure('credentials', {
    advice: `${subject} holds none of ${names.join(', ')}${detail}.`,
  })
}

/** Text that begins like the objects of which `readSecret` gives the members, and is none. */
function isBrokenJson(text: string): boolean {
  if (!text.trimStart().startsWith('{')) return false
  try {
    JSON.parse(text.trim())
    return false
  } catch {
    return true
  }
}

/**
 * `key`, which is called `name` in messages. Throws ObjectFailure (`credentials`) where it holds control or format characters (Unicode's Cc and Cf): no key has any, they
 * come with copying, and most could not be sent in a header (RFC 9110 5.5).
 */
export function checkedKey(name: string, key: string): string {
  if (/[\p{Cc}\p{Cf}]/u.test(key))
    throw new ObjectFailure('credentials', {
      advice: `${name} holds a line break or another invisible character: copy it anew.`,
    })
  return key
}
