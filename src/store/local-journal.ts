// What is being written to a store, noted in its root, so that what a killed process left behind is found without walking through millions of folders.
import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { throwIfAborted } from './failure.ts'
import { inFolderOf } from './local-folders.ts'
import { isPendingName, JOURNAL_FOLDER } from './local-names.ts'
import type { LocalScope } from './local-scope.ts'
import { nameOf, parsePath, ROOT, type ArtifactPath } from './path.ts'

/** Whoever can say of a process id whether it is alive: this boot of this machine, and the container. Undefined where that cannot be told. */
const MACHINE = machineOf()
/** This process, among all that ever had its id. */
const INSTANCE = randomUUID()

interface Note {
  readonly machine?: string | undefined
  readonly pid: number
  readonly instance: string
  /** The unfinished file, as the store's root calls it. */
  readonly path: string
}

/** The name of a note, to be given to `forget`; undefined where the root takes none. Then only somebody with a broom finds what a crash leaves. */
export async function note(scope: LocalScope, path: ArtifactPath): Promise<string | undefined> {
  const name = `${randomUUID()}.json`
  const content: Note = { machine: MACHINE, pid: process.pid, instance: INSTANCE, path }
  try {
    await scope.whole.folder(ROOT, 'write', async ({ located }) => {
      const folder = `${located.at}/${JOURNAL_FOLDER}`
      const file = `${folder}/${name}`
      const write = (): Promise<void> =>
        writeFile(file, JSON.stringify(content), { flag: 'wx', mode: 0o600 }).catch(
          async (error: unknown) => {
            // On a full disk there may be a file all the same, for which nobody would come back.
            await unlink(file).catch(() => undefined)
            throw error
          },
        )
      await write().catch(async () => {
        // Others that share the volume may run as another user.
        await mkdir(folder, { mode: 0o1777, recursive: true })
        await write()
      })
    })
    return name
  } catch {
    return undefined
  }
}

export async function forget(scope: LocalScope, name: string | undefined): Promise<void> {
  if (name === undefined) return
  await scope.whole
    .folder(ROOT, 'write', ({ located }) => unlink(`${located.at}/${JOURNAL_FOLDER}/${name}`))
    .catch(() => undefined)
}

/** `ArtifactStore.sweep`. Of processes of this machine that have ended everything goes at once; of others what nobody has written to for `olderThanMs`. */
export async function sweep(
  scope: LocalScope,
  olderThanMs: number,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<number> {
  const { whole } = scope
  return whole.folder(ROOT, 'write', async ({ located }) => {
    const folder = `${located.at}/${JOURNAL_FOLDER}`
    let removed = 0
    for (const name of await readdir(folder).catch(() => [])) {
      throwIfAborted(signal, 'write', ROOT)
      if (await removedLeftover(whole, `${folder}/${name}`, olderThanMs)) removed++
    }
    return removed
  })
}

async function removedLeftover(whole: LocalScope, file: string, olderThanMs: number): Promise<boolean> {
  const found = await readNote(file)
  if (found === undefined) return false
  const path = parsePath(found.path)
  const isLeft = hasEnded(found)
  try {
    return await inFolderOf(whole, path, 'remove', async ({ located }, name) => {
      const leftover = `${located.at}/${name}`
      const lastMs = Math.max((await stat(leftover)).mtimeMs, (await stat(file)).mtimeMs)
      if (!isLeft && Date.now() - lastMs < olderThanMs) return false
      await unlink(leftover)
      await unlink(file)
      return true
    })
  } catch {
    // The file is not there any more, or its folder is not.
    const isOld = Date.now() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? 0) > olderThanMs
    if (isLeft || isOld) await unlink(file).catch(() => undefined)
    return false
  }
}

/** Undefined for what is none, or not yet. */
async function readNote(file: string): Promise<Note | undefined> {
  try {
    const read = JSON.parse(await readFile(file, 'utf8')) as Partial<Note>
    if (typeof read.path !== 'string' || typeof read.pid !== 'number') return undefined
    // Whoever may write to the volume could have written it.
    if (!isPendingName(nameOf(parsePath(read.path)))) return undefined
    return { machine: read.machine, pid: read.pid, instance: String(read.instance), path: read.path }
  } catch {
    return undefined
  }
}

/** Whether the process that wrote the note has ended for certain. */
function hasEnded({ machine, pid, instance }: Note): boolean {
  if (MACHINE === undefined || machine !== MACHINE || instance === INSTANCE) return false
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

function machineOf(): string | undefined {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}
