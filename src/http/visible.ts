// What a caller sees of the levels above a run.
import { childOf, type Level } from '../runs/levels.ts'
import { nameOf } from '../store/path.ts'
import type { Entry } from '../store/store.ts'
import type { Caller } from './gate.ts'

/** Entries that are judged at once, for a judgement may be somebody else's, over the network. */
const AT_ONCE = 16

/** Of the entries of a level those below which the caller may read anything. Fails as the caller's judgement does. */
export async function* visible(
  batches: AsyncIterable<readonly Entry[]>,
  caller: Caller,
  connection: string,
  level: Level,
  signal: AbortSignal,
): AsyncGenerator<readonly Entry[]> {
  if (caller.seesAll) {
    yield* batches
    return
  }
  const seen = async (entries: readonly Entry[]): Promise<readonly Entry[]> => {
    const verdicts = await Promise.all(
      entries.map(entry =>
        caller.judge({ action: 'read', connection, of: childOf(level, nameOf(entry.path)) }, signal),
      ),
    )
    return entries.filter((_, i) => verdicts[i] === 'allowed')
  }
  const waiting: Entry[] = []
  for await (const batch of batches) {
    waiting.push(...batch)
    while (waiting.length >= AT_ONCE) yield seen(waiting.splice(0, AT_ONCE))
  }
  if (waiting.length > 0) yield seen(waiting)
}
