// Folders as archives. A tar or a stored zip has an exact length, a strong validator and byte ranges although it exists nowhere; what is
// compressed is made while it is sent. What becomes of symbolic links, odd names and empty folders: see manifest-columns.ts and manifest.ts.
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { ReadableStore, ReadOptions } from '../store/store.ts'
import { aborted } from './archive-abort.ts'
import { MemberContents } from './archive-members.ts'
import { ArchiveResources, type StoreResources } from './archive-resources.ts'
import { deflatedZip } from './compressed-zip.ts'
import { gzippedRope, zstdRope } from './compressed.ts'
import { CrcCache } from './crc.ts'
import { buildManifest, type ManifestLimits } from './manifest.ts'
import type { Manifest } from './manifest-columns.ts'
import type { Representation } from './representation.ts'
import { readRope, ropeSize, type Rope } from './rope.ts'
import type { Selection } from './selection.ts'
import { TarRope } from './tar.ts'
import { KnownChecksums, ZipChecksums } from './zip-checksums.ts'
import { ZipLayout, ZipRope } from './zip.ts'

export type ArchiveFormat = 'zip' | 'tar' | 'tar.gz' | 'tar.zst'

/** Part of the etag: to be raised with every change of the bytes that a manifest leads to, so that no client joins halves of two versions. */
const FORMAT_VERSION = 1

const MEDIA_TYPES: Readonly<Record<ArchiveFormat, string>> = {
  zip: 'application/zip',
  tar: 'application/x-tar',
  'tar.gz': 'application/gzip',
  'tar.zst': 'application/zstd',
}

const CRC_CACHE_BYTES = 32 * 1024 * 1024
const LAYOUT_CACHE_BYTES = 32 * 1024 * 1024

export interface ArchiveLimits extends ManifestLimits {
  /** Archives open at once in this process. */
  readonly maxInProgress: number
}

export interface ArchiveRequest {
  readonly folder: ArtifactPath
  readonly format: ArchiveFormat
  /** Deflate the members of a zip. The other formats say by their name whether they are compressed. */
  readonly compress?: boolean
  readonly selection: Selection
  /** The name that a client saves the archive under. */
  readonly filename: string
  /** Names the store among all that are configured: archives of one store share its places. */
  readonly connection: string
  /** Names the store and run that `store` stands for: what is remembered about contents is kept apart by it. */
  readonly scopeKey: string
  /** Ends the walk; the reads have signals of their own. */
  readonly signal: AbortSignal
}

export interface ArchiveRepresentation extends Representation {
  /** Files and folders in it. */
  readonly entries: number
  /** Of its members together. */
  readonly contentBytes: number
}

interface ZipPlan {
  readonly layout: ZipLayout
  readonly known: KnownChecksums
}

type Read = (
  start: number,
  end: number,
  options: ReadOptions & { readonly signal: AbortSignal },
) => AsyncIterable<Uint8Array>

/** The archives of one process: their limits, and what they share. */
export class Archives {
  readonly #limits: ArchiveLimits
  readonly #resources = new ArchiveResources()
  readonly #crcs = new CrcCache(CRC_CACHE_BYTES)
  /** Clients that download the same archive share its layout, and a resumed download finds the checksums of the first. */
  readonly #zipPlans = new LRUCache<string, ZipPlan>({
    maxSize: LAYOUT_CACHE_BYTES,
    sizeCalculation: ({ layout, known }, key) => key.length + layout.memoryBytes + known.memoryBytes,
  })
  #inProgress = 0

  constructor(limits: ArchiveLimits) {
    this.#limits = limits
  }

  /** Archives that are open now. */
  get inProgress(): number {
    return this.#inProgress
  }

  /** Members that an archive may have. */
  get maxEntries(): number {
    return this.#limits.maxEntries
  }

  /**
   * Finds the members and lays the archive out; no content is read yet. `close()` of the representation gives back its place among the archives in progress
   * and ends its reads.
   *
   * Fails with RateLimited when too many are in progress, with InvalidArgument for options that do not go together, and like `buildManifest`.
   */
  async open(store: ReadableStore, request: ArchiveRequest): Promise<ArchiveRepresentation> {
    const { format, connection } = request
    const compress = request.compress === true
    if (compress && format !== 'zip')
      throw new AppError(
        'InvalidArgument',
        `'compress' goes with zip only; ask for tar.gz or tar.zst instead of ${format}.`,
        { op: 'archive' },
      )
    const leave = this.#enter()
    try {
      const resources = this.#resources.of(connection, store.capabilities)
      const { folder, selection, signal } = request
      const manifest = await buildManifest(store, folder, selection, this.#limits, signal, resources.walks)
      return representation(request, { ...this.#made(store, request, manifest, resources), manifest, leave })
    } catch (error) {
      leave()
      throw error
    }
  }

  #made(
    store: ReadableStore,
    request: ArchiveRequest,
    manifest: Manifest,
    resources: StoreResources,
  ): Content {
    const { format, compress } = request
    const contents = new MemberContents(store, manifest, resources)
    if (format === 'zip' && compress === true)
      return streamed((_start, _end, options) => deflatedZip(manifest, contents, options))
    if (format === 'zip') {
      const etag = archiveEtag(manifest, format)
      return seekable(this.#zipRope(store, request, manifest, etag, resources), etag)
    }
    const rope = new TarRope(manifest, contents)
    if (format === 'tar') return seekable(rope, archiveEtag(manifest, format))
    return format === 'tar.gz'
      ? streamed((_start, _end, options) => gzippedRope(rope, resources, options))
      : streamed((_start, _end, options) => zstdRope(rope, options))
  }

  #enter(): () => void {
    if (this.#inProgress >= this.#limits.maxInProgress)
      throw new AppError(
        'RateLimited',
        `${this.#limits.maxInProgress} archives are being made already, which is the limit (setting archives.maxInProgress). Try again when one has ended.`,
        { op: 'archive', limit: 'archives.maxInProgress' },
      )
    this.#inProgress++
    return () => this.#inProgress--
  }

  #zipRope(
    store: ReadableStore,
    request: ArchiveRequest,
    manifest: Manifest,
    etag: string,
    resources: StoreResources,
  ): ZipRope {
    const { scopeKey, folder } = request
    // The etag says what the members are, not where: the same files in two runs are two plans.
    const key = `${scopeKey}\0${folder}\0${etag}`
    const plan = this.#zipPlans.get(key) ?? {
      layout: new ZipLayout(manifest),
      known: new KnownChecksums(manifest.count),
    }
    this.#zipPlans.set(key, plan)
    const contents = new MemberContents(store, plan.layout.manifest, resources)
    const checksums = new ZipChecksums({
      manifest: plan.layout.manifest,
      contents,
      known: plan.known,
      cache: this.#crcs,
      scopeKey,
    })
    return new ZipRope(plan.layout, contents, checksums)
  }
}

interface Content {
  readonly size: number | undefined
  readonly etag: string | undefined
  readonly read: Read
}

function seekable(rope: Rope, etag: string): Content {
  return { size: ropeSize(rope), etag, read: (start, end, options) => readRope(rope, start, end, options) }
}

function streamed(read: Read): Content {
  return { size: undefined, etag: undefined, read }
}

interface Opened extends Content {
  readonly manifest: Manifest
  readonly leave: () => void
}

function representation({ format, filename }: ArchiveRequest, opened: Opened): ArchiveRepresentation {
  const { size, etag, read, manifest, leave } = opened
  const closing = new AbortController()
  return {
    size,
    etag,
    lastModifiedMs: undefined,
    mediaType: MEDIA_TYPES[format],
    filename,
    omitted: manifest.omitted,
    entries: manifest.count,
    contentBytes: manifest.contentBytes,
    async *read(start, end, options = {}) {
      const signal = options.signal ? AbortSignal.any([options.signal, closing.signal]) : closing.signal
      if (signal.aborted) throw aborted()
      yield* read(start, end, { ...options, signal })
    },
    close() {
      if (!closing.signal.aborted) {
        closing.abort()
        leave()
      }
      return Promise.resolve()
    },
  }
}

/** Strong (RFC 9110 8.8.3): equal only where every byte is, because a member's own etag changes with its content. 160 bits, as base64url. */
function archiveEtag(manifest: Manifest, format: 'zip' | 'tar'): string {
  const hash = createHash('sha256').update(`polyaxon-outputs archive ${FORMAT_VERSION} ${format}\n`)
  manifest.hashInto(hash)
  return hash.digest().subarray(0, 20).toString('base64url')
}
