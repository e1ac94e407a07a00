// One level of a run, as Polyaxon's services list it: the files with their sizes, then the names of the folders.
import { matching } from '../../content/listing.ts'
import { isAppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { compareUtf8, nameOf, type ArtifactPath } from '../../store/path.ts'
import { listKey, type Entry } from '../../store/store.ts'
import { describe } from '../exchange.ts'
import { begun } from '../routes/listing.ts'
import type { PolyaxonAsked } from './asked.ts'
import { sendJsonText } from './answers.ts'

/** Names of folders that are kept while the files among them are told; the others are listed once more. */
const KEPT_FOLDERS = 10_000

/** How a generation writes its files. */
export interface TreeForm {
  readonly open: string
  readonly close: string
  file(name: string, size: number): string
}

/** 0.x: `[["name", size]]`. */
export const PAIRS: TreeForm = {
  open: '[',
  close: ']',
  file: (name, size) => JSON.stringify([name, size]),
}
/** 1.x and 2.x: `{"name": size}`. */
export const MAP: TreeForm = {
  open: '{',
  close: '}',
  file: (name, size) => `${JSON.stringify(name)}:${size}`,
}

/**
 * Of a file it is the list of that file alone where `listsFile` says so, else it fails with NotDirectory; otherwise fails as the store's list does, before anything is sent.
 */
export async function answerTree(
  asked: PolyaxonAsked,
  run: Run,
  path: ArtifactPath,
  { form, listsFile }: { readonly form: TreeForm; readonly listsFile: boolean },
): Promise<void> {
  const { request, response, method, signal, dependencies } = asked
  describe(response, { answer: 'listing' })
  dependencies.limits.listings.take(request, response)
  const source = { folder: path, list: (options = {}) => run.store.list(path, options) }
  const listing = matching(source, { recursive: false, glob: undefined }, { signal })
  const batches = await begun(listing, method).catch((error: unknown) => {
    if (listsFile && isAppError(error, 'NotDirectory')) return undefined
    throw error
  })
  if (batches !== undefined) return sendJsonText(asked, treeOf(batches, run, path, form, signal))
  const { size } = await run.store.stat(path, { signal })
  await sendJsonText(asked, `{"files":${form.open}${form.file(nameOf(path), size)}${form.close},"dirs":[]}`)
}

/** Files are sorted by name; so are folders, as far as they are kept. */
async function* treeOf(
  batches: AsyncIterable<readonly Entry[]>,
  run: Run,
  folder: ArtifactPath,
  form: TreeForm,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const folders: string[] = []
  let last = ''
  let hasMore = false
  let separator = `{"files":${form.open}`
  for await (const batch of batches) {
    let text = ''
    for (const entry of batch) {
      const name = nameOf(entry.path)
      if (entry.type === 'file') {
        text += separator + form.file(name, entry.size)
        separator = ','
      } else if (folders.length < KEPT_FOLDERS) {
        folders.push(name)
        last = listKey(folder, entry)
      } else {
        hasMore = true
      }
    }
    if (text !== '') yield text
  }
  const opening = separator === ',' ? '' : separator
  const names = folders.sort(compareUtf8).map(name => JSON.stringify(name))
  yield `${opening}${form.close},"dirs":[${names.join(',')}`
  if (hasMore)
    for await (const batch of run.store.list(folder, { after: last, signal }))
      for (const { type, path } of batch) if (type === 'directory') yield `,${JSON.stringify(nameOf(path))}`
  yield ']}'
}
