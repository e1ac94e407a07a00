// Makes the sample store: `makeSample(directory)`, or `node src/sample/make.ts DIR`. The same bytes and times on every machine.
import { chmod, mkdir, mkdtemp, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { EMPTY_FOLDERS, sampleFiles, type SampleFile } from './contents.ts'
import { STARTED_MS } from './training.ts'

/** Each file is so much younger than the one before it. */
const FILE_INTERVAL_MS = 60_000

/** Unfinished samples of this age belong to no running start. */
const ABANDONED_MS = 10 * 60_000

/**
 * Makes the sample at `directory`, which must not exist or be empty; its parent folders are created.
 *
 * It is written beside and renamed into place when it is whole, so an interrupted start leaves none. Where something is there already, made by a faster
 * process say, that stays and the result is false. Rejects with the system's error where it may not be written.
 */
export async function makeSample(directory: string, nowMs = Date.now()): Promise<boolean> {
  const target = resolve(directory)
  const parent = dirname(target)
  const prefix = `.${basename(target)}.unfinished-`
  await mkdir(parent, { recursive: true })
  await removeAbandoned(parent, prefix, nowMs)
  const unfinished = await mkdtemp(join(parent, prefix))
  try {
    await writeContents(unfinished)
    await rename(unfinished, target)
    return true
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
    return false
  }
}

async function removeAbandoned(parent: string, prefix: string, nowMs: number): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue
    const path = join(parent, name)
    // The change time: the others are set by what is made, or unknown to some file systems.
    const age = nowMs - (await stat(path).catch(() => ({ ctimeMs: Infinity }))).ctimeMs
    if (age > ABANDONED_MS) await rm(path, { recursive: true, force: true })
  }
}

async function writeContents(root: string): Promise<void> {
  const files = sampleFiles()
  const folders = new Set<string>(['.'])
  for (const path of [...EMPTY_FOLDERS, ...files.map(file => dirname(file.path))])
    for (let folder = path; folder !== '.'; folder = dirname(folder)) folders.add(folder)
  // mkdtemp lets nobody else in.
  await chmod(root, 0o755)
  for (const folder of folders) await mkdir(join(root, folder), { recursive: true, mode: 0o755 })
  for (const [index, file] of files.entries())
    await writeFile(root, file, STARTED_MS + index * FILE_INTERVAL_MS)
  // Writing into a folder touches it, so folders get their time last.
  const seconds = (STARTED_MS + files.length * FILE_INTERVAL_MS) / 1000
  for (const folder of folders) await utimes(join(root, folder), seconds, seconds)
}

async function writeFile(root: string, { path, content }: SampleFile, timeMs: number): Promise<void> {
  await using file = await open(join(root, path), 'wx', 0o644)
  const chunks = typeof content === 'string' || Buffer.isBuffer(content) ? [content] : content
  for (const chunk of chunks) await file.writeFile(chunk)
  await file.utimes(timeMs / 1000, timeMs / 1000)
}

if (import.meta.main) {
  const directory = process.argv[2]
  if (directory === undefined || directory.startsWith('-')) {
    process.stderr.write('Usage: node src/sample/make.ts DIR\n')
    process.exitCode = 64
  } else if (!(await makeSample(directory))) {
    process.stderr.write(`${directory} is not empty, so no sample was made there.\n`)
    process.exitCode = 1
  }
}
