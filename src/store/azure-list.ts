// Pages of List Blobs, in one order whatever the account's namespace is.
import type {
  BlobItem,
  ContainerClient,
  ContainerListBlobHierarchySegmentResponse,
} from '@azure/storage-blob'
import { azureFailure } from './azure-failure.ts'
import { advance, levelOf, takeReady, walk, type Level, type ReadLevel } from './azure-hierarchy.ts'
import { bareEtag, isFolder, wholeSeconds } from './azure-properties.ts'
import {
  ObjectFailure,
  type FailureReason,
  type ListedObject,
  type ListRequest,
  type ObjectPage,
} from './object-client.ts'

/** The first version of the Blob service that knows `startFrom` of List Blobs. */
const VERSION_WITH_START_FROM = '2026-02-06'

/** Begins tokens that hold levels. No token of a server has a NUL: they come in XML, which cannot hold one. */
const LEVELS = '\u0000levels:'

export class AzureList {
  readonly #container: ContainerClient
  /** Whether keys or names are in order (see azure-hierarchy.ts). The account tells where the keys have the right to ask it, else lists do in time. */
  #namespace: 'unknown' | 'flat' | 'hierarchical' = 'unknown'
  /** Whether the account has answered, or refused to. */
  #hasAnswer = false
  /** Under way, for all lists that wait for it. */
  #question: Promise<void> | undefined
  #version = ''

  constructor(container: ContainerClient) {
    this.#container = container
  }

  /**
   * Whether `startAfter` works. In a hierarchical namespace it would leave out directories that come later in the order of keys; and a server that is too old ignores it, so that an answer
   * must have told its version first.
   */
  get canStartAfter(): boolean {
    return this.#namespace === 'flat' && this.#version >= VERSION_WITH_START_FROM
  }

  /** Rejects with what the SDK rejects with. */
  async page(request: ListRequest, abortSignal: AbortSignal): Promise<ObjectPage> {
    await this.#askAccount(abortSignal)
    const read: ReadLevel = (prefix, marker) =>
      this.#segment({ ...request, prefix, delimiter: '/' }, marker, abortSignal)
    const levels = this.#levelsOf(request)
    if (levels !== undefined && request.delimiter === undefined)
      return { objects: await walk(levels, read), prefixes: [], token: tokenOf(levels) }
    const level = levels?.at(0)
    if (level !== undefined) {
      await advance(level, read)
      return { ...takeReady(level), token: level.isRead ? undefined : tokenOf([level]) }
    }
    const page = await this.#segment(request, request.token, abortSignal)
    return this.#namespace === 'unknown' && request.delimiter === undefined
      ? this.#learntFrom(request, page)
      : page
  }

  /** The levels that the list goes on with; undefined where the service's own order is the one of keys as far as is known. */
  #levelsOf({ prefix, delimiter, token }: ListRequest): Level[] | undefined {
    if (token?.startsWith(LEVELS) === true) return JSON.parse(token.slice(LEVELS.length)) as Level[]
    const mayBeHierarchical =
      this.#namespace === 'hierarchical' || (this.#namespace === 'unknown' && delimiter !== undefined)
    return token === undefined && mayBeHierarchical ? [levelOf(prefix)] : undefined
  }

  /**
   * A list of a whole tree shows the namespace: a hierarchical one lists each directory, before what is in it. So the list is in order up to the first directory, and from there it goes on
   * level by level.
   */
  #learntFrom({ prefix, token }: ListRequest, page: ObjectPage): ObjectPage {
    const first = page.objects.findIndex(object => object.isFolder === true && !object.key.endsWith('/'))
    if (first >= 0) {
      this.#namespace = 'hierarchical'
      const levels = [levelOf(prefix, page.objects[first]!.key)]
      return { objects: page.objects.slice(0, first), prefixes: [], token: tokenOf(levels) }
    }
    if (token === undefined && page.objects[0]?.key.includes('/', prefix.length) === true)
      this.#namespace = 'flat'
    return page
  }

  /**
   * Until there is an answer; rejects only where the signal is aborted. A list that began the question and is aborted ends it, so that the others ask again; after any other failure they go on
   * without knowing, and the next list asks.
   */
  async #askAccount(abortSignal: AbortSignal): Promise<void> {
    while (!this.#hasAnswer) {
      abortSignal.throwIfAborted()
      const isMine = this.#question === undefined
      this.#question ??= this.#ask(abortSignal).finally(() => (this.#question = undefined))
      const failure = await this.#question.then(
        () => undefined,
        (error: unknown) => (error instanceof Abandoned ? error : undefined),
      )
      if (failure === undefined) return
      if (isMine) throw failure.cause
    }
  }

  /** A denial tells nothing, for good: an identity may read blobs without the right to see what account they are in. */
  async #ask(abortSignal: AbortSignal): Promise<void> {
    try {
      const { isHierarchicalNamespaceEnabled } = await this.#container.getAccountInfo({ abortSignal })
      this.#namespace = isHierarchicalNamespaceEnabled === true ? 'hierarchical' : 'flat'
      this.#hasAnswer = true
    } catch (error) {
      if (abortSignal.aborted) throw new Abandoned('', { cause: error })
      this.#hasAnswer = !PASSING.has(azureFailure(error).reason)
    }
  }

  async #segment(
    { prefix, delimiter, startAfter, maxKeys }: ListRequest,
    marker: string | undefined,
    abortSignal: AbortSignal,
  ): Promise<ObjectPage> {
    // With metadata, because it alone tells the blobs that stand for folders. Snapshots, versions and uncommitted blobs are listed on demand only.
    const options = {
      abortSignal,
      prefix,
      includeMetadata: true,
      ...(startAfter !== undefined && { startFrom: startAfter }),
    }
    const paging = { maxPageSize: maxKeys, ...(marker !== undefined && { continuationToken: marker }) }
    const response = await firstOf(
      delimiter === undefined
        ? this.#container.listBlobsFlat(options).byPage(paging)
        : this.#container.listBlobsByHierarchy(delimiter, options).byPage(paging),
    )
    this.#version = response.version ?? this.#version
    const { blobItems, blobPrefixes = [] } =
      response.segment as ContainerListBlobHierarchySegmentResponse['segment']
    const names = writtenNames(response._response.bodyAsText)
    const objects = blobItems.map((item, i) => listedObject(item, names?.blobs[i] ?? item.name))
    const prefixes = blobPrefixes.map(({ name }, i) => names?.prefixes[i] ?? name)
    // `startFrom` itself belongs to the list.
    const after = startAfter ?? ''
    return {
      objects: objects.filter(({ key }) => key > after),
      prefixes: prefixes.filter(key => key > after || after.startsWith(key)),
      token: response.continuationToken === '' ? undefined : response.continuationToken,
    }
  }
}

/** The list that asked was aborted. */
class Abandoned extends Error {}

/** Failures that are no denial: of the network, the service, or a container that may come. */
const PASSING: ReadonlySet<FailureReason> = new Set<FailureReason>([
  ...(['unreachable', 'timeout', 'throttled', 'interrupted'] as const),
  ...(['clock', 'missing'] as const),
])

function tokenOf(levels: readonly Level[]): string | undefined {
  return levels.length === 0 ? undefined : LEVELS + JSON.stringify(levels)
}

async function firstOf<T>(pages: AsyncIterable<T>): Promise<T> {
  for await (const page of pages) return page
  throw new ObjectFailure('interrupted', { cause: new Error('no page') })
}

function listedObject({ properties, metadata }: BlobItem, key: string): ListedObject {
  return {
    key,
    size: properties.contentLength ?? 0,
    etag: bareEtag(properties.etag),
    lastModifiedMs: wholeSeconds(properties.lastModified),
    ...(isFolder(metadata) && { isFolder: true }),
  }
}

interface Names {
  readonly blobs: readonly string[]
  readonly prefixes: readonly string[]
}

const NAME = /<(Blob|BlobPrefix)>\s*<Name( Encoded="true")?>([^<]*)<\/Name>/g

/**
 * The names in the XML `body`, where the SDK's cannot be relied on: its parser leaves numeric character references as they are, in which a carriage return is written, and afterwards
 * `a&#xD;b` can be either name.
 */
function writtenNames(body: string): Names | undefined {
  if (!body.includes('&#')) return undefined
  const blobs: string[] = []
  const prefixes: string[] = []
  for (const [, kind, encoded, written] of body.matchAll(NAME)) {
    const text = written!.replace(/&(#x?)?(\w+);/g, unescaped)
    const names = kind === 'Blob' ? blobs : prefixes
    names.push(encoded === undefined ? text : decodeURIComponent(text))
  }
  return { blobs, prefixes }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescaped(reference: string, numeric: string | undefined, name: string): string {
  if (numeric === undefined) return ENTITIES[name] ?? reference
  return String.fromCodePoint(parseInt(name, numeric === '#' ? 10 : 16))
}
