// What each operation of the API description takes: the right to which run, and a request that succeeds for who has it. An operation without a rule fails the matrix test.
import type { Ask } from '../support/client.ts'
import { FORM_TYPE, fieldPart, filePart, form } from '../support/form.ts'
import { BYTES, metadataOf } from '../support/uploading.ts'

/** `public` is for everybody, `level` for everybody who is known, `metrics` a right of its own; the others are rights to the one run that all URLs are about. */
export type Needs = 'public' | 'level' | 'metrics' | 'read' | 'write' | 'delete'

export interface Rule {
  readonly needs: Needs
  /** Behind the URL. */
  readonly query?: string
  readonly kind?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** In what a list of a level must not show to who may not know of the run. */
  readonly hides?: string
  /** Whether a link may stand for it. */
  readonly linkable?: true
}

export const RUN = 'ann/mnist/experiments/1'
export const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
/** Those of `narrow` credentials. */
export const OTHER_RUN = 'ann/mnist/experiments/2'
export const OTHER_UUID = 'ffffffffffff47089a0b1c2d3e4f5a6b'
/** In every file of the run, and nowhere else. */
export const CONTENT = 'SECRET-CONTENT'
export const FILES = ['a.txt', 'folder/b.txt', 'only-there.bin']

const JSON_BODY = { 'content-type': 'application/json' }
const read: Rule = { needs: 'read' }
const level: Rule = { needs: 'level', query: 'format=json' }
const everybody: Rule = { needs: 'public' }

function formRule(needs: Needs, field: string, query = ''): Rule {
  const body = form(filePart('new.txt', 'x', field), fieldPart('json', '{"untar":false,"path":""}'))
  return { needs, query, headers: { 'content-type': FORM_TYPE }, body }
}

/** A whole tar without anything in it. */
const TAR = Buffer.alloc(1024)
const TUS = { 'tus-resumable': '1.0.0' }
const UNPACK: Rule = { needs: 'write', query: 'unpack=tar', body: TAR, linkable: true }
const LISTED_FILE = JSON.stringify({ paths: ['a.txt'] })
const POSTED: readonly Rule[] = [
  { needs: 'read', query: 'archive=tar', headers: JSON_BODY, body: LISTED_FILE },
  formRule('write', 'file'),
  { needs: 'delete', query: 'delete', headers: JSON_BODY, body: LISTED_FILE },
]
const FOLDER: readonly Rule[] = [
  { needs: 'read', query: 'format=json' },
  { needs: 'read', query: 'archive=tar', linkable: true },
]

/** By operationId. HEAD goes with the GET of its path, whose rule it has. */
export const RULES: Readonly<Record<string, Rule | readonly Rule[]>> = {
  listOwners: level,
  listProjects: level,
  listKinds: level,
  listRuns: { ...level, hides: '"name":"1"' },
  readOutputs: FOLDER,
  unpackOutputs: UNPACK,
  deleteOutputs: { needs: 'delete', query: 'recursive=true' },
  postOutputs: POSTED,
  readFolder: FOLDER,
  unpackFolder: UNPACK,
  deleteFolder: { needs: 'delete', query: 'recursive=true' },
  postFolder: [formRule('write', 'file')],
  readFile: { needs: 'read', linkable: true },
  writeFile: { needs: 'write', body: 'new', linkable: true },
  deleteFile: { needs: 'delete' },
  transferFile: [
    { needs: 'write', query: 'copyTo=copy.txt' },
    { needs: 'delete', query: 'moveTo=moved.txt' },
  ],
  createLink: {
    needs: 'read',
    headers: JSON_BODY,
    body: JSON.stringify({ method: 'GET', url: `/outputs/${RUN}/a.txt` }),
  },
  describeUploads: everybody,
  createUpload: {
    needs: 'write',
    headers: { ...TUS, 'upload-length': '3', 'upload-metadata': metadataOf({ path: `${RUN}/c.txt` }) },
  },
  describeUpload: everybody,
  headUpload: { needs: 'write', headers: TUS },
  appendToUpload: { needs: 'write', headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, body: 'new' },
  removeUpload: { needs: 'write', headers: TUS },
  readEventsOfRuns: { needs: 'read', query: `names=loss&runs=${UUID}` },
  readEventsOfOrganization: { needs: 'read', query: `names=loss&runs=${UUID}` },
  readEventsOfTeam: { needs: 'read', query: `names=loss&runs=${UUID}` },
  readArtifactsTree: read,
  readArtifact: { needs: 'read', query: 'path=a.txt' },
  uploadArtifact: formRule('write', 'upload_file'),
  deleteArtifact: { needs: 'delete', query: 'path=a.txt' },
  readEmbeddedArtifact: { needs: 'read', query: 'path=a.txt' },
  readReadOnlyArtifact: read,
  downloadArtifacts: read,
  uploadArtifacts: formRule('write', 'upload_file'),
  deleteArtifacts: { needs: 'delete', query: 'path=folder' },
  readLogs: read,
  readEvents: { needs: 'read', query: 'names=loss' },
  readResources: read,
  downloadOutputsOf02: read,
  downloadOutputs: read,
  readOutputsTree: read,
  readOutputsFile: { needs: 'read', query: 'path=a.txt' },
  readRunLog: read,
  getRoot: everybody,
  getHealth: everybody,
  getReadiness: everybody,
  getMetrics: { needs: 'metrics' },
  getDescription: everybody,
  getReference: everybody,
}

/** Values for what stands in braces in a path. */
const NAMES: Readonly<Record<string, string>> = {
  owner: 'ann',
  project: 'mnist',
  id: '1',
  namespace: 'ns',
  team: 'crew',
  uuid: UUID,
}

export interface Cell {
  readonly operationId: string
  readonly method: string
  readonly rule: Rule
  /** Below the base path; `{upload}` is still in it where the operation is about an upload. */
  readonly url: string
}

export function cellOf(operationId: string, method: string, path: string, rule: Rule): Cell {
  const filled = path.replaceAll(/\{(\w+)\}/g, (braces, name: string) => {
    if (name === 'upload') return braces
    if (name === 'kind') return path.includes('/events/') ? 'metric' : 'experiments'
    if (name === 'path') return path.endsWith('/') ? 'folder' : 'a.txt'
    return NAMES[name] ?? braces
  })
  return { operationId, method, rule, url: rule.query ? `${filled}?${rule.query}` : filled }
}

export function asked({ method, rule }: Cell): Ask {
  return {
    method,
    ...(rule.headers && { headers: rule.headers }),
    ...(rule.body !== undefined && { body: rule.body }),
  }
}
