// A file that is read again whenever it changes, without being told so: the notices of the system miss network file systems and swapped links.
import { stat } from 'node:fs/promises'

const LOOK_MS = 250

/**
 * Calls `read` once now, and again each time the file at `path` has become another one, or has come or gone, until the function that it resolves to is called. One call at a time; what it
 * rejects with is the caller's mistake.
 *
 * A file that is being written is not half a file: a change counts when it is the same at two looks in a row. A link that is swapped, as Kubernetes does it, counts as a change.
 */
export async function watchFile(
  path: string,
  read: () => Promise<void>,
  lookMs = LOOK_MS,
): Promise<() => void> {
  let taken = await stampOf(path)
  let seen = taken
  await read()
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const look = async (): Promise<void> => {
    const before = seen
    seen = await stampOf(path)
    if (seen === taken || seen !== before || isOver) return
    taken = seen
    await read()
  }
  const lookLater = (): void => {
    if (!isOver) timer = setTimeout(() => void look().finally(lookLater), lookMs).unref()
  }
  lookLater()
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}

/** What changes with the content, as far as that can be known without reading it. */
async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(':')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}
