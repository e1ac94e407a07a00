// What the attributes of a file say about it as an entry: its validator, when that can be trusted, and who may read it.
import fs from 'node:fs'
import type { Reader } from './local-root.ts'
import type { ArtifactPath } from './path.ts'
import type { Entry } from './store.ts'

/** The kernel stamps changes with a clock that moves on every 1 to 10 ms, so two changes within one tick look like one. */
const CLOCK_TICK_MS = 20
/** File systems without fractions (ext3, HFS+, some FUSE) show a whole number of seconds; elsewhere that is one time in a million. */
const WHOLE_SECOND_MS = 1000 + CLOCK_TICK_MS
/** How far the clock of a file server may be behind ours. Files that changed longer ago than that are not waited for. */
const MAX_SKEW_MS = 1000
/** A file that is still being written after so many waits gets a validator of its own for each look. */
const MAX_WAITS = 2

let unsettledLooks = 0

/**
 * How many milliseconds from now a change could still leave the attributes of this file as they are; 0 when any change will show.
 *
 * It holds for the change time, which no program can set. Of a time that another machine's clock set it is only known that its tick ends within the next one of ours.
 */
function unsettledMs(stats: fs.Stats, nowMs: number, isLocal: boolean): number {
  const granularityMs = Number.isInteger(stats.ctimeMs / 1000) ? WHOLE_SECOND_MS : CLOCK_TICK_MS
  const ageMs = nowMs - stats.ctimeMs
  if (!isLocal) return ageMs >= granularityMs + MAX_SKEW_MS ? 0 : granularityMs
  return ageMs >= granularityMs || ageMs <= -granularityMs ? 0 : granularityMs - ageMs
}

/**
 * Looks again at the files that changed a moment ago, until any further change would show in their attributes.
 *
 * `stats` is changed in place; `again(i)` gets the attributes of its i-th element anew. One wait serves all of them. Returns the indices of
 * those that did not come to rest. On a network file system the server sets the times: there a file has come to rest when its change time is still the same after a wait.
 */
export async function settle<T extends fs.Stats | undefined>(
  stats: T[],
  isLocal: boolean,
  again: (index: number) => Promise<T> | T,
): Promise<ReadonlySet<number>> {
  /** The change times that files of a network file system had before the last wait. */
  const waitedFor = new Map<number, number>()
  for (let waits = 0; ; waits++) {
    const nowMs = Date.now()
    const unsettled = new Set<number>()
    let waitMs = 0
    for (const [index, each] of stats.entries()) {
      if (each?.isFile() !== true || waitedFor.get(index) === each.ctimeMs) continue
      const eachMs = unsettledMs(each, nowMs, isLocal)
      if (eachMs === 0) continue
      unsettled.add(index)
      waitMs = Math.max(waitMs, eachMs)
    }
    if (unsettled.size === 0 || waits === MAX_WAITS) return unsettled
    await new Promise(resolve => setTimeout(resolve, Math.ceil(waitMs)))
    for (const index of isLocal ? [] : unsettled) waitedFor.set(index, stats[index]!.ctimeMs)
    await Promise.all([...unsettled].map(async index => (stats[index] = await again(index))))
  }
}

/**
 * A strong validator, given attributes that have come to rest: any later change of the content sets a change time that is at least a tick later.
 *
 * Numbers suffice: a double keeps a quarter of a microsecond of a time in milliseconds, and ticks are a thousand times longer.
 */
export function etagOf(stats: fs.Stats): string {
  return `${stats.ino.toString(36)}-${stats.size.toString(36)}-${timeTag(stats.mtimeMs)}-${timeTag(stats.ctimeMs)}`
}

/** All bits of a time, in two parts that are small integers: those are written out five times as fast as one large number. */
function timeTag(timeMs: number): string {
  const units = Math.round(timeMs * 4096)
  const high = Math.floor(units / 2 ** 24)
  return `${high.toString(36)}.${(units - high * 2 ** 24).toString(36)}`
}

/** The entry of a regular file or folder. An unsettled file's validator is not given out twice. */
export function entryOf(path: ArtifactPath, stats: fs.Stats, settled: boolean, readable: boolean): Entry {
  const isFile = stats.isFile()
  const unique = settled
    ? ''
    : `-${process.pid.toString(36)}.${Date.now().toString(36)}.${(++unsettledLooks).toString(36)}`
  return {
    path,
    type: isFile ? 'file' : 'directory',
    size: isFile ? stats.size : 0,
    lastModifiedMs: stats.mtimeMs,
    etag: isFile ? etagOf(stats) + unique : '',
    mode: stats.mode & 0o7777,
    ...(readable ? {} : { unreadable: 'permission' as const }),
  }
}

/** The entry of a file whose name no ArtifactPath can hold, so that it can be seen but not asked for. */
export function unnameableEntry(path: ArtifactPath): Entry {
  return {
    path,
    type: 'file',
    size: 0,
    lastModifiedMs: undefined,
    etag: '',
    mode: undefined,
    unreadable: 'name',
  }
}

/**
 * Whether the mode lets `reader` read the file, or list the folder; false also where only the kernel can tell.
 *
 * On a network file system the server decides, for a user of its own choice (NFS: `root_squash`, `all_squash`, mapped ids), so there only what everybody may do counts.
 */
export function modeAllows(stats: fs.Stats, reader: Reader, isLocal: boolean): boolean {
  if (isLocal && reader.uid === 0) return true
  const wanted = stats.isDirectory() ? 0o5 : 0o4
  const shift = !isLocal ? 0 : stats.uid === reader.uid ? 6 : reader.gids.has(stats.gid) ? 3 : 0
  return ((stats.mode >> shift) & wanted) === wanted
}

/** Fails where nothing in the folder can be reached, not even by who knows its name. */
export function checkEnterable(target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.access(target, fs.constants.X_OK, error => (error === null ? resolve() : reject(error)))
  })
}

/** Asks the kernel, which knows access lists and capabilities and asks a file server, whether the file can be read or the folder listed. */
export function isReadable(target: string, stats: fs.Stats): Promise<boolean> {
  const wanted = fs.constants.R_OK | (stats.isDirectory() ? fs.constants.X_OK : 0)
  return new Promise(resolve => {
    fs.access(target, wanted, error => resolve(error === null))
  })
}
