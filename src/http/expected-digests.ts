// What a request says about the digests of its body, and whether the body keeps it.
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { AppError, type ErrorKind } from '../errors.ts'
import { parseDigests } from './digest-fields.ts'

export interface ExpectedDigest {
  /** As `createHash` calls it. */
  readonly algorithm: string
  readonly value: Uint8Array
  /** Where the client gave it, for the message to it. */
  readonly field: string
  /** What it is for the body to have another one. */
  readonly kind?: ErrorKind
}

/** By RFC 9530 7.2 the algorithms that are not broken; others say nothing (2) and are ignored. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['sha-256', 'sha256'],
  ['sha-512', 'sha512'],
])
const DIGEST_BYTES: Readonly<Record<string, number>> = { sha256: 32, sha512: 64, md5: 16 }
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/**
 * The digests that the body of a request must have, by `Content-Digest`, `Repr-Digest` and `Content-MD5`. InvalidArgument for a field that cannot be read: whoever sends one wants
 * it checked.
 *
 * The body must be the whole content, without a content coding: only then the digest of a representation is that of the body.
 */
export function expectedDigests(headers: IncomingHttpHeaders): readonly ExpectedDigest[] {
  return [
    ...fromDictionary('Content-Digest', headers['content-digest']),
    ...fromDictionary('Repr-Digest', headers['repr-digest']),
    ...fromMd5(headers['content-md5']),
  ]
}

function fromDictionary(field: string, header: string | string[] | undefined): ExpectedDigest[] {
  if (header === undefined) return []
  const digests = parseDigests(String(header))
  if (digests === undefined) throw malformed(field, 'sha-256=:base64:')
  return [...digests].flatMap(([name, value]) => {
    const algorithm = ALGORITHMS.get(name)
    if (algorithm === undefined) return []
    if (value.length !== DIGEST_BYTES[algorithm]) throw malformed(field, `${name}=:base64:`)
    return [{ algorithm, value, field }]
  })
}

/** RFC 1864. Obsolete, and what many S3 tools still send. */
function fromMd5(header: string | string[] | undefined): ExpectedDigest[] {
  if (header === undefined) return []
  const text = String(header)
  const value = Buffer.from(text, 'base64')
  if (!BASE64.test(text) || value.length !== DIGEST_BYTES['md5']) throw malformed('Content-MD5', 'base64')
  return [{ algorithm: 'md5', value, field: 'Content-MD5' }]
}

function malformed(field: string, form: string): AppError {
  return new AppError('InvalidArgument', `The ${field} of the request cannot be read: its form is ${form}.`, {
    op: 'receive',
  })
}

/** Computes the digests of what goes by, each algorithm once. */
export class DigestCheck {
  readonly #expected: readonly ExpectedDigest[]
  readonly #hashes: ReadonlyMap<string, ReturnType<typeof createHash>>

  constructor(expected: readonly ExpectedDigest[]) {
    this.#expected = expected
    this.#hashes = new Map(expected.map(({ algorithm }) => [algorithm, createHash(algorithm)]))
  }

  update(chunk: Uint8Array): void {
    for (const hash of this.#hashes.values()) hash.update(chunk)
  }

  /** Fails with InvalidArgument, or as the digest says, when a digest is another one. Called once, at the end. */
  verify(): void {
    const computed = new Map([...this.#hashes].map(([algorithm, hash]) => [algorithm, hash.digest()]))
    for (const { algorithm, value, field, kind = 'InvalidArgument' } of this.#expected)
      if (!computed.get(algorithm)!.equals(value))
        throw new AppError(
          kind,
          `The body is not the one that its ${field} is of: it was damaged on the way, or is another one.`,
          { op: 'receive' },
        )
  }
}
