// The contract that every outputs store keeps. Its words are obligations: `test/contract` holds one case for each of them.
import type { AppError } from '../errors.ts'
import type { ArtifactPath } from './path.ts'

export interface Entry {
  /** Relative to the root of the store that gave the entry. */
  readonly path: ArtifactPath
  readonly type: 'file' | 'directory'
  /** Bytes of a file; 0 for a directory. */
  readonly size: number
  /** Milliseconds since 1970, with fractions where the store has them; undefined where it keeps no time. */
  readonly lastModifiedMs: number | undefined
  /**
   * A strong validator (RFC 9110 8.8.1) without quotes, of characters allowed in an entity-tag: two contents of one path never share one,
   * also when a file is rewritten within a second with the same size. '' for a directory.
   */
  readonly etag: string
  /** Unix permission bits; undefined where the store has none. */
  readonly mode: number | undefined
  /** Why the artifact is listed but cannot be read; undefined for everything that can, as far as listing shows. */
  readonly unreadable?: 'permission' | 'name'
}

export interface Capabilities {
  /** Folders exist by themselves, so an empty one is listed. */
  readonly emptyDirectories: boolean
  /** Entries carry Unix modes. */
  readonly modes: boolean
  /** Symbolic links can exist in the store. */
  readonly links: boolean
  /**
   * The content of an artifact can be changed in place, by appending too, while it is read. Elsewhere an artifact is replaced as a whole, and a read under way
   * goes on with the old content or fails with Changed.
   */
  readonly changesInPlace: boolean
  /** What a call waits for: with `network`, latency is hidden by asking for many things at once. */
  readonly latency: 'disk' | 'network'
  /** Calls that the store takes at once; further ones wait for their turn. Undefined where only the machine bounds them. */
  readonly concurrency?: number
}

export interface ListOptions {
  /** Everything below the folder instead of one level; a folder comes before what is in it. */
  readonly recursive?: boolean
  /** Only entries whose key (see `listKey`) comes after this one; it need not exist any more. */
  readonly after?: string
  /** At most so many entries: the first ones in order. A store may use it to keep memory in proportion. */
  readonly limit?: number
  /**
   * Called with the number of artifacts that the walk left out because no ArtifactPath can name them (an object `a//b`, `../x`, or one with too long a name). Each is
   * reported once, between the entries it would stand between.
   */
  readonly onOmitted?: (artifacts: number) => void
  readonly signal?: AbortSignal
}

export interface OpenOptions {
  /**
   * The entry that the caller already has. The opened artifact must still be that one, by etag, else `open` or `read`
   * fails with Changed; a store need not ask for the entry again.
   */
  readonly pin?: Entry
  readonly signal?: AbortSignal
}

export interface ReadOptions {
  readonly signal?: AbortSignal
  /** Memory to read into; without it every chunk is fresh memory. */
  readonly buffers?: Buffers
}

/**
 * Memory that one transfer reads into, in rotation.
 *
 * A reader takes one buffer for each chunk that it yields. The memory of a chunk is overwritten by the second `take` after its own, so whoever consumes
 * the chunks may have one chunk under way while the next is read, and must be done with chunk k before asking for chunk k + 2.
 */
export interface Buffers {
  /** A buffer of at least one byte; the reader fills as much of it as it likes, from its beginning. */
  take(): Buffer
}

/** One artifact, opened: all reads see the same content or fail. */
export interface OpenArtifact {
  readonly entry: Entry
  /** The content coding that the bytes were stored with (RFC 9110 8.4), where the store knows of one. Sizes and ranges are of the coded bytes. */
  readonly contentEncoding?: string | undefined
  /**
   * The bytes [start, end), 0 <= start <= end <= entry.size, in order.
   *
   * Yields exactly `end - start` bytes or fails; ending early is never success, because a client that trusts Content-Length
   * would keep a truncated model file. Fails with Changed when the content shrank or was rewritten while it was read; where the artifact was opened
   * with `pin`, also when it merely grew. Without `pin` a file that grows is read as long as it was when opened. Reads of one artifact may run side by side.
   * Aborting the signal ends the read with Aborted and releases what it holds.
   */
  read(start: number, end: number, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** The CRC-32 (ISO 3309, as in zip) of the whole content, where the store keeps it, without reading the content. Fails like `read`. */
  storedCrc32?(options?: { readonly signal?: AbortSignal }): Promise<number | undefined>
  /** Releases the descriptor or connection, at once or when running reads end. Never fails; a second call does nothing. */
  close(): Promise<void>
}

/** Where the bytes of an artifact can be had without this service in between. */
export type DirectDelivery =
  /** A signed URL that expires; it carries file name and media type. */
  | { readonly type: 'redirect'; readonly url: string }
  /** An internal URI for the web server in front (`X-Accel-Redirect`), percent-encoded. */
  | { readonly type: 'x-accel'; readonly uri: string }

export interface DirectOptions {
  /** The value of Content-Disposition that the client must see. */
  readonly disposition: string
  readonly mediaType: string
  readonly signal?: AbortSignal
}

/** What a store let us do just now. */
export interface Probe {
  /** How a step went: done, not tried (with the reason), or the failure. */
  readonly list: ProbeStep
  readonly read: ProbeStep
  readonly write: ProbeStep
  /** Only where the store is configured to let clients fetch files themselves: whether one of them could, by an address as `direct` gives it. */
  readonly deliver?: ProbeStep
}

/** Milliseconds that a step took; undefined where it was not timed. */
interface Timed {
  readonly elapsedMs?: number
}

export type ProbeStep =
  | ({ readonly result: 'ok'; readonly detail?: string } & Timed)
  | { readonly result: 'skipped'; readonly detail: string }
  | ({ readonly result: 'failed'; readonly error: AppError } & Timed)

/**
 * A place that holds artifacts.
 *
 * Fails only with AppError. NotFound means that the store answered and the artifact is not there; a store that cannot be reached, or does not answer
 * within its deadline, is Unavailable, never NotFound. Only regular files and directories exist: devices, sockets and pipes are NotFound and not listed. A symbolic link counts as
 * what it points to; one that leads out of the store (of the scope, for a scoped store) or nowhere is NotFound and not listed.
 */
export interface ArtifactStore {
  readonly capabilities: Capabilities

  /** The entry at `path`. NotFound when nothing is there, and when a parent in the path is a file. The root always exists while the store can be reached. */
  stat(path: ArtifactPath, options?: { readonly signal?: AbortSignal }): Promise<Entry>

  /**
   * The entries of a folder in batches, in the order of `listKey` by bytes of UTF-8, each once, the same for every `limit` and batch size.
   *
   * NotFound or NotDirectory before the first batch. Entries that come or go meanwhile may be missed; all others are given. In a recursive list a folder that links to one of its
   * own ancestors is not listed, so lists end, and one that cannot be read is listed as `unreadable` and not entered. Stopping early (return) releases everything.
   */
  list(path: ArtifactPath, options?: ListOptions): AsyncIterable<readonly Entry[]>

  /** Opens a file; IsDirectory for a folder. Never waits for a writer (a pipe is NotFound). The caller must close what it opened. */
  open(path: ArtifactPath, options?: OpenOptions): Promise<OpenArtifact>

  /** The same store confined to a folder, which need not exist: paths are relative to it and nothing outside can be reached, by links neither. */
  scoped(folder: ArtifactPath): ArtifactStore

  /**
   * Where a client can fetch a file itself; undefined where this store cannot tell (no keys to sign with, no setting). Does not look whether the file exists. With
   * `asked`, a client asked for it: undefined too where the address would show a server that clients are not known to reach. Else only where the store is configured to
   * deliver that way.
   */
  direct?(path: ArtifactPath, asked: boolean, options: DirectOptions): Promise<DirectDelivery | undefined>

  /** Tries to list, to read one artifact, to have it delivered as configured, and to write and remove a small one of its own; never rejects. Only on an unscoped store. */
  probe?(options?: { readonly signal?: AbortSignal }): Promise<Probe>

  /** Ends idle connections and watches. The store is not used afterwards. */
  close(): Promise<void>
}

/**
 * What a list is ordered by and what a cursor holds: the path relative to the listed folder, a directory's with a trailing slash.
 *
 * The slash takes part in the order (`a.txt` < `a/`), so one level, a whole tree and an object store's own listing agree.
 */
export function listKey(folder: ArtifactPath, entry: Entry): string {
  const relative = folder === '' ? entry.path : entry.path.slice(folder.length + 1)
  return entry.type === 'directory' ? `${relative}/` : relative
}
