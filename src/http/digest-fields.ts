// Content-Digest, Repr-Digest and Want-Repr-Digest (RFC 9530). sha-256 is the one algorithm that is offered; sha-512 is understood too.

// A member of a structured-field dictionary (RFC 9651 3.2) whose value is an Integer; parameters are allowed and mean nothing here.
const KEY = '[a-z*][a-z0-9_.*-]*'
const MEMBER = new RegExp(`^[ \\t]*(${KEY})=(-?\\d{1,15})(?:; *${KEY}(?:=[^;," \\t]+)?)*[ \\t]*$`)
const MAX_PREFERENCE = 10
// The same with a Byte Sequence for a value.
const DIGEST = new RegExp(`^[ \\t]*(${KEY})=:([A-Za-z0-9+/]*={0,2}):(?:; *${KEY}(?:=[^;," \\t]+)?)*[ \\t]*$`)

/**
 * The algorithms that a Want-Repr-Digest names, with preferences from 0 (not acceptable) to 10 (RFC 9530 4).
 *
 * A value that is no dictionary of such Integers is ignored as a whole (RFC 9651 4.2), which gives an empty map. Where a key
 * comes twice, the last one counts.
 */
export function parseWantReprDigest(header: string): ReadonlyMap<string, number> {
  const preferences = new Map<string, number>()
  for (const member of header.split(',')) {
    const [, algorithm, value] = MEMBER.exec(member) ?? []
    const preference = Number(value)
    if (algorithm === undefined || !(preference >= 0 && preference <= MAX_PREFERENCE)) return new Map()
    preferences.set(algorithm, preference)
  }
  return preferences
}

/** Whether the client asks for a sha-256 digest: at any preference but 0, since there is no other to choose. */
export function wantsSha256(header: string | undefined): boolean {
  return header !== undefined && (parseWantReprDigest(header).get('sha-256') ?? 0) > 0
}

/** The value of Repr-Digest for the SHA-256 of the whole representation, also beside a part of it. */
export function formatReprDigest(sha256: Uint8Array): string {
  return `sha-256=:${Buffer.from(sha256).toString('base64')}:`
}

/**
 * The digests of a Content-Digest or Repr-Digest by their algorithms (RFC 9530 2, 3); undefined for a value that is no dictionary of Byte Sequences. Where a key comes twice,
 * the last one counts.
 */
export function parseDigests(header: string): ReadonlyMap<string, Buffer> | undefined {
  const digests = new Map<string, Buffer>()
  for (const member of header.split(',')) {
    const [, algorithm, value] = DIGEST.exec(member) ?? []
    if (algorithm === undefined || value === undefined) return undefined
    digests.set(algorithm, Buffer.from(value, 'base64'))
  }
  return digests
}
