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
  /** False for a list that gives nothing of what is reached through a symbolic link to a folder: of those it meets only the link itself, and nothing where its own path goes through one. */
  readonly entersLinks?: boolean
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

/**
 * What must be true of the artifact at a path at the moment a change of it takes effect (RFC 9110 13.1): nothing is there (`If-None-Match: *`), something is (`If-Match: *`),
 * or what is there has one of these etags. A folder is not an artifact, so it is `absent`. Checked and acted on as one step, for all changes that go through
 * this service, where the store has conditions of its own for everybody's.
 */
export type Precondition =
  | { readonly type: 'absent' }
  | { readonly type: 'present' }
  | { readonly type: 'etag'; readonly etags: readonly string[] }

/** Whether `precondition` holds where the artifact has `etag`; undefined where there is none. */
export function holds(precondition: Precondition | undefined, etag: string | undefined): boolean {
  switch (precondition?.type) {
    case undefined:
      return true
    case 'absent':
      return etag === undefined
    case 'present':
      return etag !== undefined
    case 'etag':
      return etag !== undefined && precondition.etags.includes(etag)
  }
}

export interface CreateOptions {
  /** Bytes that will be written, where they are known. A store may choose its ways by it; `put` holds the source to it. */
  readonly size?: number
  readonly precondition?: Precondition
  /** Aborting it makes every later step fail with Aborted; the caller still has to call `abort`. */
  readonly signal?: AbortSignal
}

/**
 * An artifact that is being written: nobody sees it before `complete` has resolved or while it has not, and `abort` leaves nothing of it behind.
 *
 * One step at a time. After a step has failed only `abort` may be called. Whoever began it must call `complete` or `abort`; a process that dies in between leaves
 * something that is no artifact (never listed, read or archived) and that `sweep` removes.
 */
export interface PendingArtifact {
  /**
   * Adds `chunk` at the end. The memory may be used again when it has resolved, which is when the store can take more. NoSpace when the volume, or somebody's quota, is full.
   */
  write(chunk: Uint8Array): Promise<void>
  /**
   * Makes what was written the artifact at the path: durably, as a whole and in one step; who reads the one that was there before goes on with it or sees Changed. The last of several
   * that complete wins. Fails with Changed where the precondition does not hold (any more), and then, as with every failure that says that the store refused, nothing has changed.
   */
  complete(): Promise<Entry>
  /** Removes everything that was written. Never fails; after `complete` has resolved, and a second time, it does nothing. */
  abort(): Promise<void>
}

export interface ChangeOptions {
  readonly precondition?: Precondition
  readonly signal?: AbortSignal
}

export interface MoveOptions extends ChangeOptions {
  /** The new path is one of the view that is scoped to this folder, so that no link in the folder leads it out. */
  readonly into?: ArtifactPath
}

export interface RemoveOptions extends ChangeOptions {
  /** Where the removal of empty folders ends: this folder stays, and what is above it. The root of the view by default. */
  readonly pruneBelow?: ArtifactPath
}

export interface RemoveAllOptions {
  readonly signal?: AbortSignal
  /** As for `remove`. */
  readonly pruneBelow?: ArtifactPath
  /** Called at least whenever a request or a few hundred files are done: what takes long is not what hangs. */
  readonly onProgress?: () => void
}

/** What was not removed, and why. */
export interface RemovalFailure {
  readonly path: ArtifactPath
  readonly error: AppError
}

export interface Removal {
  /** Files and links that were removed. */
  readonly removed: number
  /** The first ones only, where there are very many. */
  readonly failures: readonly RemovalFailure[]
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
 * A place that holds artifacts, as far as one reads from it.
 *
 * Fails only with AppError. NotFound means that the store answered and the artifact is not there; a store that cannot be reached, or does not answer
 * within its deadline, is Unavailable, never NotFound. Only regular files and directories exist: devices, sockets and pipes are NotFound and not listed. A symbolic link counts as
 * what it points to; one that leads out of the store (of the scope, for a scoped store) or nowhere is NotFound and not listed.
 */
export interface ReadableStore {
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
  scoped(folder: ArtifactPath): ReadableStore

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

/** A place that holds artifacts and takes new ones. Whatever fails has changed nothing, unless it says otherwise. */
export interface ArtifactStore extends ReadableStore {
  /**
   * Begins an artifact at `path`, with the folders above it as needed. IsDirectory for the root, and where a folder is in its place in a store that has folders; NotDirectory when a
   * parent in the path is a file there. PermissionDenied, with what to do, where the operator or the mount forbids changes. A precondition that does not hold already may be reported here.
   */
  create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact>

  /** Fails as `create` would where no change is possible at all (a connection or a mount that is read-only), so that a refusal comes before any byte. */
  checkWritable(options?: { readonly signal?: AbortSignal }): Promise<void>

  /**
   * Removes a file; of a link the link, never what it points to. IsDirectory for a folder, NotFound when nothing is there. Folders above it that are empty then are removed too, in a store
   * that has folders, but not the root of this view.
   */
  remove(path: ArtifactPath, options?: RemoveOptions): Promise<void>

  /**
   * Removes a folder with everything in it, what no ArtifactPath can name too, and then the folders above it like `remove`; links are removed, not followed. NotFound when nothing is there,
   * NotDirectory for a file. Of the root of a scoped view the folder itself goes too; the root of a store is not removed (InvalidArgument). What cannot be removed is
   * reported and everything else removed.
   */
  removeAll(path: ArtifactPath, options?: RemoveAllOptions): Promise<Removal>

  /**
   * Makes a copy of the file `from` at `to`, as `create` and `complete` would, without its bytes coming through here. Only where the store can: elsewhere it is read and written.
   */
  copy?(from: ArtifactPath, to: ArtifactPath, options?: ChangeOptions): Promise<Entry>

  /**
   * Gives the file at `from` the path `to`, in one step. Only where the store can: elsewhere, and where this fails with Unsupported because of where the two paths lie, it is copied and then
   * removed.
   */
  move?(from: ArtifactPath, to: ArtifactPath, options?: MoveOptions): Promise<Entry>

  /** Removes what pending artifacts of ended processes left behind more than `olderThanMs` ago; gives their number. Only on an unscoped store. */
  sweep?(olderThanMs: number, options?: { readonly signal?: AbortSignal }): Promise<number>

  scoped(folder: ArtifactPath): ArtifactStore
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
