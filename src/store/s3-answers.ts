// What S3's answers say, in the words of the seam. Servers differ in quotes, encodings and clocks; past this file they do not.
import type {
  GetObjectCommandOutput,
  HeadObjectCommandOutput,
  ListMultipartUploadsCommandOutput,
  ListObjectsCommandOutput,
  ListObjectsV2CommandOutput,
  _Object as ListedByS3,
} from '@aws-sdk/client-s3'
import {
  ObjectFailure,
  type GetRequest,
  type ListedObject,
  type ObjectHead,
  type ObjectPage,
  type UploadPage,
} from './object-client.ts'
import { checkPart } from './object-response.ts'

/** The metadata by which a write is known. */
export const WRITE_ID = 'polyaxon-outputs-write'

/** A page of ListObjectsV2, or of its first version. Throws ObjectFailure where the answer is no list at all. */
export function pageOf(answer: ListObjectsV2CommandOutput | ListObjectsCommandOutput): ObjectPage {
  // An error or another document in a 200 parses as a list with nothing in it.
  if (answer.IsTruncated === undefined) throw new ObjectFailure('interrupted')
  const decoded = answer.EncodingType === 'url' ? urlDecoded : (text: string) => text
  const objects = (answer.Contents ?? []).map(object => listedObject(object, decoded))
  const prefixes = (answer.CommonPrefixes ?? []).map(({ Prefix }) => decoded(Prefix ?? ''))
  return {
    objects,
    prefixes,
    token: answer.IsTruncated ? tokenOf(answer, objects, prefixes, decoded) : undefined,
  }
}

function tokenOf(
  answer: ListObjectsV2CommandOutput | ListObjectsCommandOutput,
  objects: ObjectPage['objects'],
  prefixes: ObjectPage['prefixes'],
  decoded: (text: string) => string,
): string {
  // Only keys are encoded, and in the first version the marker is a key.
  if ('NextContinuationToken' in answer && answer.NextContinuationToken !== undefined)
    return answer.NextContinuationToken
  if ('KeyCount' in answer || 'ContinuationToken' in answer) throw unlisted()
  const marker =
    'NextMarker' in answer && answer.NextMarker !== undefined ? decoded(answer.NextMarker) : undefined
  // Without a delimiter the first version gives no marker: then it is the last key.
  const last = marker ?? objects.at(-1)?.key ?? prefixes.at(-1)
  if (last === undefined) throw unlisted()
  return last
}

function unlisted(): ObjectFailure {
  return new ObjectFailure('misconfigured', {
    advice: 'The server does not say how its list goes on: try AWS_LEGACY_API in the secret.',
  })
}

/** With `encoding-type=url` servers write a space as `+` (AWS, MinIO) or as `%20`, and `+` itself as `%2B`. */
function urlDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    // No UTF-8 behind the percent signs: a name that cannot be asked for again, shown as the server gave it.
    return text
  }
}

function listedObject(object: ListedByS3, decoded: (text: string) => string): ListedObject {
  const { Key, Size, ETag, LastModified } = object
  if (Key === undefined || Size === undefined || LastModified === undefined)
    throw new ObjectFailure('interrupted')
  const key = decoded(Key)
  return {
    key,
    size: Size,
    // Some servers keep folder markers as folders, without a validator; nobody reads them.
    etag: key.endsWith('/') ? (validator(ETag) ?? '') : strongEtag(ETag),
    lastModifiedMs: wholeSeconds(LastModified),
  }
}

export function headOf(key: string, answer: HeadObjectCommandOutput): ObjectHead {
  const { ContentLength, LastModified } = answer
  if (ContentLength === undefined || LastModified === undefined) throw new ObjectFailure('interrupted')
  return {
    key,
    size: ContentLength,
    etag: strongEtag(answer.ETag),
    lastModifiedMs: wholeSeconds(LastModified),
    contentEncoding: contentEncodingOf(answer.ContentEncoding),
    crc32: crc32Of(answer),
    writeId: answer.Metadata?.[WRITE_ID],
  }
}

/** What a copy takes over, in the words of a request that writes. */
export function propertiesOf(answer: HeadObjectCommandOutput) {
  const { CacheControl, ContentDisposition, ContentLanguage, ContentType, Metadata } = answer
  const ContentEncoding = contentEncodingOf(answer.ContentEncoding)
  const present = {
    CacheControl,
    ContentDisposition,
    ContentLanguage,
    ContentType,
    ContentEncoding,
    Metadata,
  }
  return Object.fromEntries(Object.entries(present).filter(([, value]) => value !== undefined)) as Partial<
    typeof present
  >
}

export function uploadPageOf(answer: ListMultipartUploadsCommandOutput): UploadPage {
  const decoded = answer.EncodingType === 'url' ? urlDecoded : (text: string) => text
  const { NextKeyMarker, NextUploadIdMarker } = answer
  return {
    uploads: (answer.Uploads ?? []).flatMap(({ Key, UploadId, Initiated }) =>
      Key === undefined || UploadId === undefined || Initiated === undefined
        ? []
        : [{ key: decoded(Key), id: UploadId, begunAtMs: Initiated.getTime() }],
    ),
    token:
      answer.IsTruncated === true && NextKeyMarker !== undefined
        ? JSON.stringify([decoded(NextKeyMarker), NextUploadIdMarker])
        : undefined,
  }
}

/** Of an object that was just written. */
export function etagOf(answer: { readonly ETag?: string | undefined } | undefined): string {
  return strongEtag(answer?.ETag)
}

/** Headers have whole seconds (RFC 9110 5.6.7), lists of some servers milliseconds. */
function wholeSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000) * 1000
}

/** The opaque part of a strong entity-tag (RFC 9110 8.8.3), with or without its quotes; undefined for everything else. */
function validator(etag: string | undefined): string | undefined {
  return /^("?)(?!W\/)([\x21\x23-\x7e\x80-\xff]+)\1$/.exec(etag ?? '')?.[2]
}

function strongEtag(etag: string | undefined): string {
  const value = validator(etag)
  if (value === undefined)
    throw new ObjectFailure('misconfigured', {
      advice:
        'The server, or a proxy before it, gives no strong ETag of objects, so that no download could be resumed.',
    })
  return value
}

/** `aws-chunked` is how an upload was signed, not how the object is coded; some servers keep it. */
function contentEncodingOf(text: string | undefined): string | undefined {
  const codings = (text ?? '').split(',').map(coding => coding.trim())
  const kept = codings.filter(coding => !['', 'aws-chunked', 'identity'].includes(coding.toLowerCase()))
  return kept.length === 0 ? undefined : kept.join(', ')
}

/** Composite checksums, of the checksums of an upload's parts, say nothing about the bytes in a row. */
function crc32Of({ ChecksumCRC32, ChecksumType }: HeadObjectCommandOutput): number | undefined {
  if (ChecksumCRC32 === undefined || ChecksumType !== 'FULL_OBJECT') return undefined
  const bytes = Buffer.from(ChecksumCRC32, 'base64')
  return bytes.length === 4 ? bytes.readUInt32BE() : undefined
}

/**
 * Throws ObjectFailure unless `answer` is the bytes that `request` asked for, of the content that it pinned, as far as headers tell: not every server knows If-Match, and bytes of
 * another version must never get into a download.
 */
export function checkAnswer(request: GetRequest, answer: GetObjectCommandOutput): void {
  if (validator(answer.ETag) !== request.pin) throw new ObjectFailure('changed')
  checkPart(request, {
    status: answer.$metadata.httpStatusCode,
    contentRange: answer.ContentRange,
    contentLength: answer.ContentLength,
  })
}
