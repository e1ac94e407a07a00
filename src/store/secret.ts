// Access keys of a store, from wherever an operator keeps them, in the form they have at the moment.
import { constants } from 'node:fs'
import { open, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../errors.ts'

/** Where the values are. Each source is read anew, so that a rotated secret is picked up; later sources win over earlier ones. */
export interface SecretReference {
  /** For messages: "the secret 'polyaxon-s3'". Never a path. */
  readonly label: string
  /** Values of environment variables that are known as access keys; they cannot rotate. */
  readonly values: Readonly<Record<string, string>>
  /** Absolute paths of files, one for each key of the secret; `key` is the name of the value that the file holds. */
  readonly files: readonly { readonly key: string; readonly path: string }[]
  /** Absolute path of a folder in which every file is a key, as Kubernetes mounts a whole secret. */
  readonly folder?: string
  /** Whether an operator named this secret: then it alone says who the service is, and without keys in it nothing else may (`refuseWithoutKeys`). */
  readonly named?: boolean
}

/**
 * Named values: those of variables and files, and, where the text of one is a JSON object, the members of that object beside it. Members that are no strings are JSON
 * text. Names are as written: look them up with `secretValue`.
 */
export type SecretValues = Readonly<Record<string, string>>

/** Kubernetes allows no secret to be larger (1 MiB for all its keys together). */
const MAX_FILE_BYTES = 1024 ** 2
const MAX_FILES = 1000

/** A rotation takes one rename; whoever still finds it under way after so many looks has found something else. */
const ATTEMPTS = 5
const PAUSE_MS = 20

/**
 * The values as they are now. All files are of one version of the secret: Kubernetes replaces them by swapping one symbolic link, and what was read across the swap is read
 * again. A byte order mark at the beginning of a file and a newline at its end are not part of its value. In a folder, hidden files and what is no regular file are left out.
 *
 * Rejects with Unavailable (`credentials`) where a file or the folder is missing, may not be read or is larger than 1 MiB.
 */
export async function readSecret(reference: SecretReference): Promise<SecretValues> {
  const variables = Object.entries(reference.values)
  try {
    const { files, folder } = await readFiles(reference)
    return combined([variables, files, folder])
  } catch (error) {
    if (error instanceof Unreadable) throw unreadable(reference, error.message, error)
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw unreadable(reference, REASONS[code] ?? 'cannot be read', error)
  }
}

/**
 * The first of `names` that `values` has with any content. Case, `_`, `-` and the provider's name before it make no difference, because all of these are in use for one thing:
 * AWS_ACCESS_KEY_ID, aws_access_key_id, access_key_id, accessKeyId. A name that differs in case only is preferred.
 */
export function secretValue(values: SecretValues, ...names: readonly string[]): string | undefined {
  const given = Object.entries(values).filter(([, value]) => value.trim() !== '')
  const alike = (spelling: (name: string) => string, name: string) =>
    given.find(([other]) => spelling(other) === spelling(name))?.[1]
  return names
    .map(name => alike(lowerCase, name) ?? alike(meaningOf, name))
    .find(value => value !== undefined)
}

const PROVIDER = /^(polyaxon_)?(aws|azure_storage|azure|gc|google)_/

function lowerCase(name: string): string {
  return name.toLowerCase()
}

/** What all the spellings of one name have in common. */
function meaningOf(name: string): string {
  return lowerCase(name).replace(PROVIDER, '').replaceAll(/[_-]/g, '')
}

/** What several sources give together, members of JSON texts included; later sources win. */
export function layeredValues(...sources: readonly SecretValues[]): SecretValues {
  return combined(sources.map(source => Object.entries(source)))
}

type Named = readonly [name: string, text: string]

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'is missing, or a key of it is',
  ENOTDIR: 'is missing, or a key of it is',
  EACCES: 'may not be read by this user',
  EISDIR: 'has a folder where a key is expected',
}

/** What is wrong with a secret, completing "The secret … ". */
class Unreadable extends Error {}

function unreadable({ label }: SecretReference, problem: string, cause: unknown): AppError {
  const message = `The outputs store has no access keys, because ${label} ${problem}: the operator must mend it.`
  return new AppError('Unavailable', message, { trouble: 'credentials', temporary: false, cause })
}

function combined(sources: readonly (readonly Named[])[]): SecretValues {
  return Object.fromEntries(sources.reduce<Named[]>(overlaid, []))
}

/** `earlier` under the values of `source` and, below those, the members of its JSON objects. A name also replaces its other spellings. */
function overlaid(earlier: Named[], source: readonly Named[]): Named[] {
  const layers = [source.flatMap(([, text]) => members(text)), source]
  return layers.reduce<Named[]>((below, layer) => {
    const meanings = new Set(layer.map(([name]) => meaningOf(name)))
    return [...below.filter(([name]) => !meanings.has(meaningOf(name))), ...layer]
  }, earlier)
}

/** The members of a JSON object, those that are null left out; nothing for any other text. */
function members(text: string): Named[] {
  if (!text.trimStart().startsWith('{')) return []
  try {
    // Without a byte order mark, which JSON.parse refuses and RFC 8259 8.1 lets parsers ignore.
    return Object.entries(JSON.parse(text.trim()) as Record<string, unknown>)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])
  } catch {
    return []
  }
}

interface Contents {
  readonly files: readonly Named[]
  readonly folder: readonly Named[]
}

interface Located {
  readonly key: string
  /** Without symbolic links, so that it stays with one version of the secret. */
  readonly path: string
}

async function readFiles(reference: SecretReference): Promise<Contents> {
  for (let attempt = 1; ; attempt++) {
    try {
      const files = await locateFiles(reference)
      const folder = await locateFolder(reference)
      const contents = { files: await Promise.all(files.map(read)), folder: await readAll(folder) }
      const after = [...(await locateFiles(reference)), ...(await locateFolder(reference))]
      if (samePaths([...files, ...folder], after)) return contents
      if (attempt === ATTEMPTS) throw new Unreadable('keeps changing while it is read')
    } catch (error) {
      // The old version is deleted right after the swap.
      if (attempt === ATTEMPTS || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    await delay(PAUSE_MS * attempt)
  }
}

async function locateFiles({ files }: SecretReference): Promise<Located[]> {
  return Promise.all(files.map(async ({ key, path }) => ({ key, path: await realpath(path) })))
}

async function locateFolder({ folder }: SecretReference): Promise<Located[]> {
  if (folder === undefined) return []
  const entries = await readdir(folder, { withFileTypes: true })
  const keys = entries.filter(entry => !entry.name.startsWith('.') && !entry.isDirectory())
  if (keys.length > MAX_FILES) throw new Unreadable(`has more than ${MAX_FILES} keys`)
  return Promise.all(keys.map(async ({ name }) => ({ key: name, path: await realpath(join(folder, name)) })))
}

function samePaths(before: readonly Located[], after: readonly Located[]): boolean {
  const text = (located: readonly Located[]) =>
    JSON.stringify(located.map(({ key, path }) => [key, path]).sort())
  return text(before) === text(after)
}

async function readAll(located: readonly Located[]): Promise<Named[]> {
  const named: Named[] = []
  for (const one of located) {
    const text = await readRegularFile(one)
    if (text !== undefined) named.push([one.key, text])
  }
  return named
}

async function read(located: Located): Promise<Named> {
  const text = await readRegularFile(located)
  if (text === undefined) throw new Unreadable('has something else than a file where a key is expected')
  return [located.key, text]
}

/** Undefined for what is no regular file. */
async function readRegularFile({ path }: Located): Promise<string | undefined> {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const status = await file.stat()
    if (!status.isFile()) return undefined
    if (status.size > MAX_FILE_BYTES) throw new Unreadable('has a key of more than 1 MiB')
    return (await file.readFile('utf8')).replace(/^\u{feff}/u, '').replace(/\r?\n$/, '')
  } finally {
    await file.close()
  }
}
