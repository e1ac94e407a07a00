// The header fields of tus 1.0 (https://tus.io/protocols/resumable-upload): what they say, and InvalidArgument for what cannot be read.
import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../errors.ts'
import type { ExpectedDigest } from './expected-digests.ts'

export const TUS_VERSION = '1.0.0'
export const TUS_EXTENSIONS =
  'creation,creation-with-upload,creation-defer-length,termination,checksum,expiration'
/** The media type of the bytes of an upload. */
export const TUS_MEDIA_TYPE = 'application/offset+octet-stream'

/** As the protocol calls an algorithm, and as `createHash` does, which is the same. */
const ALGORITHMS: Readonly<Record<string, number>> = { sha1: 20, sha256: 32, md5: 16 }
export const TUS_ALGORITHMS = Object.keys(ALGORITHMS).join(',')

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The bytes that the client believes to be kept. */
export function uploadOffset(headers: IncomingHttpHeaders): number {
  const offset = numberIn('Upload-Offset', headers)
  if (offset === undefined) throw invalid('Upload-Offset says where the bytes belong; it is missing.')
  return offset
}

/** The bytes of the whole upload as a later request says them; undefined where it does not. */
export function declaredLength(headers: IncomingHttpHeaders): number | undefined {
  return numberIn('Upload-Length', headers)
}

/** The bytes of a new upload; undefined where the client says them later. */
export function uploadLength(headers: IncomingHttpHeaders): number | undefined {
  const length = declaredLength(headers)
  const deferred = headers['upload-defer-length']
  if (deferred !== undefined && deferred !== '1') throw invalid('Upload-Defer-Length can only be 1.')
  if ((length === undefined) === (deferred === undefined))
    throw invalid('A new upload needs Upload-Length, or Upload-Defer-Length: 1, and not both.')
  return length
}

function numberIn(name: string, headers: IncomingHttpHeaders): number | undefined {
  const text = headers[name.toLowerCase()]
  if (text === undefined) return undefined
  const number = Number(text)
  if (typeof text !== 'string' || !/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw invalid(`${name} must be a number of bytes.`)
  return number
}

/** What a client says of an upload: keys with a value in base64, or none, which is ''. */
export function parseMetadata(text: string): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>()
  if (text.trim() === '') return metadata
  for (const pair of text.split(',')) {
    const [key, value = '', ...more] = pair.trim().split(' ')
    if (!/^[\x21-\x7e]+$/.test(key!) || !BASE64.test(value) || more.length > 0 || metadata.has(key!))
      throw invalid(
        'Upload-Metadata cannot be read: its form is `key base64,key base64`, with each key only once.',
      )
    metadata.set(key!, decoded(key!, value))
  }
  return metadata
}

function decoded(key: string, value: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'base64'))
  } catch {
    throw invalid(`'${key}' of Upload-Metadata is not UTF-8 in base64.`)
  }
}

/** The digest that the body of the request must have, where it says one. */
export function uploadChecksum({ 'upload-checksum': field }: IncomingHttpHeaders): readonly ExpectedDigest[] {
  if (field === undefined) return []
  const [algorithm = '', text = '', ...more] = String(field).trim().split(' ')
  const bytes = Object.hasOwn(ALGORITHMS, algorithm) ? ALGORITHMS[algorithm] : undefined
  if (bytes === undefined)
    throw invalid(`Upload-Checksum has an algorithm that is not known here: use one of ${TUS_ALGORITHMS}.`)
  const value = Buffer.from(text, 'base64')
  if (!BASE64.test(text) || value.length !== bytes || more.length > 0)
    throw invalid(`Upload-Checksum cannot be read: its form is '${algorithm} base64'.`)
  return [{ algorithm, value, field: 'Upload-Checksum', kind: 'ChecksumMismatch' }]
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'parse' })
}
