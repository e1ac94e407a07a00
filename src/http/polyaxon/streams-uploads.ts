// Uploads of Polyaxon's client: a form with a file, behind which it says what is to become of it.
import { uploadFolder } from '../../content/folder-upload.ts'
import { StagedUpload } from '../../content/staged-upload.ts'
import { UnpackError } from '../../content/unpack.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { joinPath, ROOT, type ArtifactPath } from '../../store/path.ts'
import type { PendingArtifact, Precondition } from '../../store/store.ts'
import { asConflict } from '../changes.ts'
import { describe } from '../exchange.ts'
import { isForm, receiveForm, type FormField, type FormFile } from '../form-upload.ts'
import { toAppError } from '../problem.ts'
import { pour } from '../receive.ts'
import { checkCoding } from '../routes/form.ts'
import { checkWhole } from '../routes/upload.ts'
import { sendEmpty } from './answers.ts'
import { askOfConnection, runOf, type PolyaxonAsked } from './asked.ts'
import { fileNameOf, parseUploadFields, type UploadFields } from './upload-fields.ts'

export type UploadKind = 'artifact' | 'artifacts'

/** Nothing changes before the form has come to its end. */
export async function answerStreamsUpload(asked: PolyaxonAsked, kind: UploadKind): Promise<void> {
  const { request, response, dependencies, signal } = asked
  describe(response, { answer: 'upload' })
  checkWhole(request, response)
  if (!isForm(request.headers)) throw noFile()
  dependencies.limits.uploads.take(request, response)
  const run = await writableRun(asked)
  const upload = new FormUpload(asked, run, kind)
  try {
    const idleMs = dependencies.uploads.idleTimeoutMs
    const takeField = (field: FormField): void => upload.takeField(field)
    const take = (file: FormFile): Promise<void> => upload.take(file)
    const pace = dependencies.limits.uploadPace.of(request)
    await receiveForm(request, response, { idleMs, pace, signal, takeField }, take)
    await upload.finish()
  } catch (error) {
    throw asConflict(withOutcome(error))
  } finally {
    await upload.leave()
  }
  sendEmpty(response)
}

/** Fails before a byte of the body is read where the store takes no changes. */
async function writableRun(asked: PolyaxonAsked): Promise<Run> {
  const run = await runOf(asked, true)
  await run.store.checkWritable({ signal: asked.signal })
  return run
}

/** Where the file goes as it is, or its files. */
interface Destination {
  readonly asked: PolyaxonAsked
  readonly run: Run
  readonly path: ArtifactPath
  readonly fields: UploadFields
}

/** The bytes of the file: where they are to be, or waiting for that to be said, or, with nothing, not wanted. */
type Received =
  | { readonly type: 'pending'; readonly pending: PendingArtifact; readonly overwrites: boolean }
  | { readonly type: 'staged'; readonly staged: StagedUpload }
  | { readonly type: 'unwanted' }

class FormUpload {
  readonly #asked: PolyaxonAsked
  readonly #run: Run
  readonly #kind: UploadKind
  #name: ArtifactPath | undefined
  #json: string | undefined
  #received: Received | undefined
  /** The first one; further files may have been read behind it. */
  #failure: AppError | undefined

  /** `run` is in the store of the request, in which bytes may wait. */
  constructor(asked: PolyaxonAsked, run: Run, kind: UploadKind) {
    this.#asked = asked
    this.#run = run
    this.#kind = kind
  }

  takeField({ name, value }: FormField): void {
    if (name !== 'json') return
    if (this.#json !== undefined) this.#failure ??= invalid("The form has more than one part 'json'.")
    this.#json = value
  }

  /** Files in other parts are of no interest. */
  async take(file: FormFile): Promise<void> {
    if (file.field !== 'upload_file') return
    try {
      if (this.#received !== undefined || this.#failure !== undefined)
        throw this.#failure ?? invalid('The form has more than one file: send each in a form of its own.')
      checkCoding(file.coding)
      this.#name = fileNameOf(file.name)
      this.#received = await this.#begin()
      const { maxBytes } = this.#asked.dependencies.uploads
      await pour(file.bytes, sinkOf(this.#received), { maxBytes, signal: this.#asked.signal })
    } catch (error) {
      this.#failure ??= toAppError(error)
      throw error
    }
  }

  /** After the form. */
  async finish(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const received = this.#received
    if (received === undefined) throw noFile()
    if (received.type === 'staged') await this.#place(received.staged)
    else if (received.type === 'pending') await unlessThere(received.pending.complete(), received.overwrites)
  }

  /** Whatever happened, nothing is under way any more, and nothing waits. Never fails. */
  async leave(): Promise<void> {
    const received = this.#received
    if (received?.type === 'staged') await received.staged.remove()
    else if (received?.type === 'pending') await received.pending.abort()
  }

  /** Where the form has said already what is to become of the file, it need not wait. */
  async #begin(): Promise<Received> {
    const { runs, signal } = this.#asked
    const destination = this.#json === undefined ? undefined : await this.#destination()
    if (destination === undefined || destination.fields.untar)
      return { type: 'staged', staged: await StagedUpload.begin(runs.store, signal) }
    if (await isKept(destination)) return { type: 'unwanted' }
    const { run, path, fields } = destination
    const creating = run.store.create(path, { signal, ...preconditionOf(fields) })
    const pending = await unlessThere(creating, fields.overwrite)
    return pending === undefined
      ? { type: 'unwanted' }
      : { type: 'pending', pending, overwrites: fields.overwrite }
  }

  async #place(staged: StagedUpload): Promise<void> {
    const destination = await this.#destination()
    if (await isKept(destination)) return
    await staged.complete()
    const { asked, run, path, fields } = destination
    const { signal } = asked
    if (!fields.untar) {
      const place = { store: asked.runs.store, folder: run.folder, path }
      await unlessThere(staged.moveTo(place, { signal, ...preconditionOf(fields) }), fields.overwrite)
      return
    }
    const { maxUnpackedEntries, maxUnpackedBytes, maxRatio } = asked.dependencies.uploads
    await uploadFolder(run.store, path, staged, {
      limits: { maxEntries: maxUnpackedEntries, maxBytes: maxUnpackedBytes, maxRatio },
      existing: fields.overwrite ? 'replace' : 'keep',
      signal,
    })
  }

  /** What the form says, in the store that it names. */
  async #destination(): Promise<Destination> {
    const fields = parseUploadFields(this.#json ?? '')
    const asked = await askOfConnection(this.#asked, fields.connection)
    const run = asked === this.#asked ? this.#run : await writableRun(asked)
    // A folder without a name of its own would be one more that no path was given for.
    const isNamed = !fields.untar || (this.#kind === 'artifact' && fields.path !== ROOT)
    const path = isNamed ? joinPath(fields.path, this.#name!) : fields.path
    return { asked, run, path, fields }
  }
}

function sinkOf(received: Received): { write(chunk: Uint8Array): Promise<void> } {
  switch (received.type) {
    case 'pending':
      return received.pending
    case 'staged':
      return received.staged
    case 'unwanted':
      return { write: () => Promise.resolve() }
  }
}

/** Whether what is there is to stay, so that nothing is left to be done. A whole run is no single thing that could be there. */
async function isKept({ run, path, fields, asked: { signal } }: Destination): Promise<boolean> {
  if (fields.overwrite || path === ROOT) return false
  try {
    await run.store.stat(path, { signal })
    return true
  } catch (error) {
    if (isAppError(error, 'NotFound')) return false
    throw error
  }
}

function preconditionOf({ overwrite }: UploadFields): { readonly precondition?: Precondition } {
  return overwrite ? {} : { precondition: { type: 'absent' } }
}

/** Undefined where something has come there meanwhile, which stays if nothing is to be replaced. */
async function unlessThere<T>(writing: Promise<T>, overwrites: boolean): Promise<T | undefined> {
  try {
    return await writing
  } catch (error) {
    if (overwrites || !isAppError(error, 'Changed')) throw error
    return undefined
  }
}

/** What is left of an archive that was not unpacked to its end is said in the sentence itself, which is all that the client shows. */
function withOutcome(error: unknown): unknown {
  if (!(error instanceof UnpackError) || error.written.files === 0) return error
  const { kind, message, path, temporary, trouble, written, removal } = error
  const outcome = `${written.files} of its files were written before, and ${removal?.removed ?? 0} of them were removed again.`
  return new AppError(kind, `${message} ${outcome}`, {
    op: 'unpack',
    ...(path !== undefined && { path }),
    temporary,
    ...(trouble !== undefined && { trouble }),
    cause: error,
  })
}

/** In the words of Polyaxon's own service. */
function noFile(): AppError {
  return invalid('A file is required to upload a file')
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'receive' })
}
