// Objects as the JSON API describes them: https://cloud.google.com/storage/docs/json_api/v1/objects#resource
import { senselessAnswer } from './gcs-failure.ts'
import type { ListedObject, ObjectHead, ObjectPage } from './object-client.ts'

/** The value of `fields`, so that answers hold nothing else. */
export const RESOURCE_FIELDS = 'name,size,generation,timeCreated,contentEncoding'
export const HEAD_FIELDS = `${RESOURCE_FIELDS},metadata`
/** What a copy takes over. */
export const COPIED_FIELDS =
  'contentType,contentEncoding,contentDisposition,contentLanguage,cacheControl,customTime,metadata'

/** The metadata by which a write is known. */
const WRITE_ID = 'polyaxon-outputs-write'

interface Resource extends ListedObject {
  readonly contentEncoding: string | undefined
  readonly writeId: string | undefined
}

/**
 * The etag is the generation: it changes with every write of the content, and is what requests are conditional on. Changes of the metadata alone (storage class, holds,
 * labels) keep the bytes, and a download may go on across them; so the metageneration is no part of it, and the time is that of the content, not `updated`.
 */
export function parseResource(resource: unknown): Resource {
  const { name, size, generation, timeCreated, contentEncoding, metadata } = fieldsOf(resource)
  const lastModifiedMs = Date.parse(text(timeCreated))
  if (!/^\d+$/.test(text(size)) || !/^\d+$/.test(text(generation)) || Number.isNaN(lastModifiedMs))
    throw senselessAnswer('an object without a size, generation or time')
  return {
    key: text(name),
    size: Number(size),
    etag: text(generation),
    lastModifiedMs,
    contentEncoding: codingOf(contentEncoding),
    writeId: writeIdOf(metadata),
  }
}

function writeIdOf(metadata: unknown): string | undefined {
  const value = (metadata as Readonly<Record<string, unknown>> | undefined)?.[WRITE_ID]
  return typeof value === 'string' ? value : undefined
}

/** An object that is to be: the properties of another one, or some, and a mark of the write. */
export function newResource(
  name: string,
  writeId: string | undefined,
  properties: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  if (writeId === undefined) return { ...properties, name }
  return { ...properties, name, metadata: { ...(properties['metadata'] as object), [WRITE_ID]: writeId } }
}

export function parseCopied(resource: unknown): Readonly<Record<string, unknown>> {
  return fieldsOf(resource)
}

/** Where a rewrite stands. */
export type Rewrite =
  { readonly done: true; readonly resource: unknown } | { readonly done: false; readonly token: string }

export function parseRewrite(answer: unknown): Rewrite {
  const { done, rewriteToken, resource } = fieldsOf(answer)
  return done === true ? { done, resource } : { done: false, token: text(rewriteToken) }
}

/** CRC32C, which is what the service keeps, is another polynomial. */
export function headOf(resource: Resource): ObjectHead {
  return { ...resource, crc32: undefined }
}

export function parsePage(page: unknown): ObjectPage {
  const { items = [], prefixes = [], nextPageToken } = fieldsOf(page)
  if (!Array.isArray(items) || !Array.isArray(prefixes)) throw senselessAnswer('a page of something else')
  return {
    objects: items.map(item => listedOf(parseResource(item))),
    prefixes: prefixes.map(text),
    token: nextPageToken === undefined || nextPageToken === '' ? undefined : text(nextPageToken),
  }
}

function listedOf({ key, size, etag, lastModifiedMs }: Resource): ListedObject {
  return { key, size, etag, lastModifiedMs }
}

function codingOf(value: unknown): string | undefined {
  return typeof value !== 'string' || value === '' || value === 'identity' ? undefined : value
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw senselessAnswer('no JSON object')
  return value as Readonly<Record<string, unknown>>
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw senselessAnswer(`${typeof value} instead of text`)
  return value
}
