// Files by a form: POST of multipart/form-data on a folder, into which they come under the names that they have in the form.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { AppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { joinPath, parsePath } from '../../store/path.ts'
import type { ArtifactPath } from '../../store/path.ts'
import type { ArtifactStore } from '../../store/store.ts'
import { beginChange } from '../body.ts'
import { checkConditions } from '../change-conditions.ts'
import { asConflict } from '../changes.ts'
import { formatEntityTag } from '../entity-tag.ts'
import { describe } from '../exchange.ts'
import { receiveForm } from '../form-upload.ts'
import type { FormFile } from '../form-upload.ts'
import { chooseFormat } from '../listing-formats.ts'
import { PartlyReceived } from '../partly-received.ts'
import type { ReceivedFile } from '../partly-received.ts'
import { toAppError } from '../problem.ts'
import { receive } from '../receive.ts'
import { sendJson } from './operations.ts'
import type { Asked } from './outputs.ts'
import { checkWhole } from './upload.ts'

/** Each file is stored as a whole or not at all, by itself. The answer is a success only where all of them are, and says in any case which ones are. */
export async function answerForm(asked: Asked, run: Run, folder: ArtifactPath): Promise<void> {
  describe(asked.response, { answer: 'upload' })
  const { request, response, dependencies, signal } = asked
  checkWhole(request, response)
  const intake = new Intake(asked, run.store, folder)
  const pace = dependencies.limits.uploadPace.of(request)
  const options = { idleMs: dependencies.uploads.idleTimeoutMs, pace, signal }
  const ending = await receiveForm(request, response, options, file => intake.take(file)).catch(toAppError)
  const { files } = intake
  const failure = ending ?? failureOf(files)
  if (failure !== undefined) throw new PartlyReceived(failure, files)
  if (wantsPage(request.headers)) sendBack(asked)
  else sendJson(response, 201, { files })
}

function failureOf(files: readonly ReceivedFile[]): AppError | undefined {
  if (files.length === 0)
    return new AppError('InvalidArgument', 'The form has no file, or none that has a name.', {
      op: 'receive',
    })
  return files.map(file => ('error' in file ? file.error : undefined)).find(error => error !== undefined)
}

/** What one form puts into a folder. */
class Intake {
  /** What came of each file so far. */
  readonly files: ReceivedFile[] = []
  readonly #store: ArtifactStore
  readonly #folder: ArtifactPath
  readonly #response: ServerResponse
  readonly #headers: IncomingHttpHeaders
  readonly #maxBytes: number
  readonly #signal: AbortSignal
  readonly #written = new Set<ArtifactPath>()

  constructor(
    { request, response, query, dependencies, signal }: Asked,
    store: ArtifactStore,
    folder: ArtifactPath,
  ) {
    this.#store = store
    this.#folder = folder
    this.#response = response
    const { headers } = request
    this.#headers = query.overwrite === false ? { ...headers, 'if-none-match': '*' } : headers
    this.#maxBytes = dependencies.uploads.maxBytes
    this.#signal = signal
  }

  async take(file: FormFile): Promise<void> {
    try {
      this.files.push(await this.#write(file))
    } catch (thrown) {
      const error = toAppError(asConflict(thrown))
      this.files.push({ path: file.name, error })
      throw error
    }
  }

  /** The conditions of the request are those of each file. */
  async #write({ name, coding, bytes }: FormFile): Promise<ReceivedFile> {
    const signal = this.#signal
    checkCoding(coding)
    const path = joinPath(this.#folder, pathOf(name))
    // Which of them is to stay, nobody has said.
    if (this.#written.has(path))
      throw new AppError('AlreadyExists', 'The form has another file of this name.', { op: 'receive', path })
    const { exists, precondition } = await checkConditions(this.#store, path, this.#headers, signal)
    // This file is kept whatever becomes of those behind it.
    beginChange(this.#response)
    const pending = await this.#store.create(path, { signal, ...(precondition && { precondition }) })
    const { size, etag } = await receive(bytes, pending, { maxBytes: this.#maxBytes, signal })
    this.#written.add(path)
    const tag = formatEntityTag({ weak: false, opaque: etag })
    return { path: name, size, etag: tag, status: exists ? 204 : 201 }
  }
}

/**
 * The path that a name in a form says, with the folders in it. Old browsers send the whole path of the client's disk, of which nothing belongs here; and text that was no UTF-8 has lost what
 * told names apart.
 */
function pathOf(name: string): ArtifactPath {
  const path = parsePath(name)
  if (/^(?:[a-z]:)?\\/i.test(name))
    throw new AppError(
      'InvalidPath',
      'The name is that of a place on a disk: send the name of the file alone.',
      {
        op: 'parse',
        path,
      },
    )
  if (name.includes('\ufffd'))
    throw new AppError('InvalidPath', 'The name is not UTF-8.', { op: 'parse', path })
  return path
}

/** RFC 7578 4.7 has none left, and under one the file would not be what its name says. */
export function checkCoding(coding: string): void {
  if (!['7bit', '8bit', 'binary'].includes(coding))
    throw new AppError(
      'UnsupportedMediaType',
      'The file has a Content-Transfer-Encoding: send it as it is.',
      {
        op: 'receive',
      },
    )
}

/** Whether a person with a browser sent the form. */
function wantsPage({ accept }: IncomingHttpHeaders): boolean {
  const { format, named } = chooseFormat(undefined, accept)
  return named && format === 'html'
}

/** To the folder, in which the files are now. */
function sendBack({ response, query }: Asked): void {
  const { connection } = query
  response.statusCode = 303
  response.setHeader(
    'Location',
    `./${connection === undefined ? '' : `?${new URLSearchParams({ connection }).toString()}`}`,
  )
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Length', 0)
  response.end()
}
