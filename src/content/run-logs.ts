// The logs of a run as Polyaxon's streams service gives them: the files of all its pods, merged by time.
import { parsePath } from '../store/path.ts'
import type { ReadableStore } from '../store/store.ts'
import { LogFiles } from './log-blocks.ts'
import type { BlockLines, LogBlock, LogFolder } from './log-blocks.ts'
import { formatMicros } from './log-time.ts'
import type { LogTime } from './log-time.ts'
import { Slices } from './slices.ts'

export const ARCHIVED = parsePath('plxlogs')
/** What the pods of a run have said so far, as long as it goes on. */
export const LIVE = parsePath('.tmpplxlogs')

/**
 * Blocks held at once. More overlap only where more pods than this ran side by side, or a file is in no order at all; the order of lines is then a rough one, and none is lost.
 */
const MAX_HELD = 64
/** Text is gathered to about this many characters before it is given. */
const PIECE = 64 * 1024

export interface LogsQuery {
  /** Only lines after it. */
  readonly lastTime: LogTime | undefined
  /** The page of files that the client has: see `nextFile`. */
  readonly lastFile: string | undefined
}

/** What of a run's logs is given. */
interface Chosen {
  readonly folder: LogFolder
  readonly after: number
  /** Whether the client is to ask again from the last line on. */
  readonly goesOn: boolean
}

/**
 * The whole answer, `{"logs":[…],"last_time":…,"last_file":…,"files":[…]}`, in pieces, in memory that does not grow with the logs. Before the first piece every file
 * was read once. Polyaxon's services put the last time first, which is not known before the last line; to clients the fields of an object have no order.
 *
 * A run without logs, or none at all, has no lines. Fails as the store does.
 */
export async function* runLogs(
  store: ReadableStore,
  query: LogsQuery,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const files = new LogFiles(store)
  try {
    const chosen = await choose(files, query, signal)
    let lastTime = chosen.after
    let before = '{"logs":['
    for await (const { text, time } of merged(files, chosen, signal)) {
      yield before + text
      before = ','
      lastTime = Math.max(lastTime, time)
    }
    const opening = before === ',' ? '' : before
    yield `${opening}],${JSON.stringify(ending(chosen, query, lastTime)).slice(1)}`
  } finally {
    await files.close()
  }
}

/**
 * Polyaxon's service asks Kubernetes for what is newer than the time that a client has, and without one looks only at what was kept when the run ended. Here the live folder is all that
 * is known of running pods, so it answers both questions.
 */
async function choose(files: LogFiles, { lastTime }: LogsQuery, signal: AbortSignal): Promise<Chosen> {
  const after = lastTime?.micros ?? -Infinity
  const isNew = ({ last }: LogBlock): boolean => lastTime === undefined || last > after
  const kept = await files.scan(ARCHIVED, { live: false, signal })
  // Without a time in question or answer a client takes the logs for complete.
  if (kept.blocks.some(isNew)) return { folder: kept, after, goesOn: lastTime !== undefined }
  const live = await files.scan(LIVE, { live: true, signal })
  if (live.blocks.some(isNew)) return { folder: live, after, goesOn: true }
  // Nothing new: a client that watches goes on from the time it has; without it, it would be given everything again.
  return { folder: { blocks: [], names: kept.names }, after, goesOn: lastTime !== undefined }
}

interface Ending {
  readonly last_time: string | null
  readonly last_file: string | null
  readonly files: readonly string[]
}

function ending({ folder, goesOn }: Chosen, { lastTime, lastFile }: LogsQuery, micros: number): Ending {
  const time = goesOn && micros > -Infinity ? formatMicros(micros) : null
  if (lastTime !== undefined) return { last_time: time, last_file: lastFile ?? null, files: [] }
  if (folder.blocks.length > 0) return { last_time: time, last_file: null, files: [] }
  return { last_time: null, last_file: nextFile(folder.names, lastFile), files: folder.names }
}

/**
 * The file after `last`. Where a run's files hold no line, clients page through them: they ask with each answer's file until that is the last one, or none.
 */
function nextFile(names: readonly string[], last: string | undefined): string | null {
  if (!last) return names[0] ?? null
  const at = names.indexOf(last)
  return (at < 0 ? undefined : names[at + 1]) ?? null
}

/** A block in hand, with the line of it that comes next. */
interface Cursor {
  readonly block: LogBlock
  readonly lines: BlockLines
  index: number
}

interface Piece {
  /** Lines as JSON, with commas between them. */
  readonly text: string
  /** The time of the last one. */
  readonly time: number
}

/** All lines after `after` in order of time; lines of one time in the order of files and lines. A block is read when its time has come. */
async function* merged(
  files: LogFiles,
  { folder: { blocks }, after }: Chosen,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  const slices = new Slices()
  const held: Cursor[] = []
  let next = 0
  let text = ''
  let time = after
  for (;;) {
    let cursor = earliest(held)
    while (next < blocks.length && held.length < MAX_HELD && isDue(blocks[next]!, cursor)) {
      const opened = await openBlock(files, blocks[next++]!, after, signal)
      if (opened !== undefined) held.push(opened)
      cursor = earliest(held)
    }
    if (cursor === undefined) break
    const line = cursor.lines.render(cursor.index)
    text += text === '' ? line : `,${line}`
    time = timeAt(cursor)
    if (++cursor.index === cursor.lines.times.length) held.splice(held.indexOf(cursor), 1)
    if (text.length >= PIECE) {
      yield { text, time }
      text = ''
      if (slices.due) await slices.rest()
    }
  }
  if (text !== '') yield { text, time }
}

/** Undefined where it has no line after `after`. */
async function openBlock(
  files: LogFiles,
  block: LogBlock,
  after: number,
  signal: AbortSignal,
): Promise<Cursor | undefined> {
  if (after > -Infinity && block.last <= after) return undefined
  const lines = await files.read(block, signal)
  const index = after > -Infinity ? lines.times.findIndex(time => time > after) : 0
  return index >= 0 && index < lines.times.length ? { block, lines, index } : undefined
}

function earliest(held: readonly Cursor[]): Cursor | undefined {
  let best = held[0]
  for (const cursor of held) if (best !== undefined && comesBefore(cursor, best)) best = cursor
  return best
}

function comesBefore(a: Cursor, b: Cursor): boolean {
  const difference = timeAt(a) - timeAt(b)
  return difference < 0 || (!(difference > 0) && a.block.order < b.block.order)
}

const timeAt = ({ lines, index }: Cursor): number => lines.times[index]!

/** Whether a line of `block` may come before the one at `cursor`. */
function isDue({ first, order }: LogBlock, cursor: Cursor | undefined): boolean {
  if (cursor === undefined) return true
  const time = timeAt(cursor)
  return first < time || (first === time && order < cursor.block.order)
}
