// Where a request can say which file, folder, run or store it is about, on each surface.
import { filePart, fieldPart, form, FORM_TYPE } from '../support/form.ts'
import { metadataOf } from '../support/uploading.ts'
import { tarOf } from '../archive/unpacking.ts'
import type { Attack } from './strike.ts'
import { RUN, UUID } from './victim.ts'

/** What is uploaded. */
export const CONTENT = 'content of the attacker'

export interface Place {
  readonly title: string
  /** Folders between the root of the store and what a path is relative to here, and the name of the run's neighbour. */
  readonly from: 'run' | 'uuid'
  readonly ask: (text: string) => Attack
  /** A text that is as it should be: it reads what is `INSIDE` (or the names of files), or changes the run. */
  readonly fair: string
  readonly finds?: string
}

const OUTPUTS = `/outputs/${RUN}`
const STREAMS = `/streams/v1/default/ann/mnist/runs/${UUID}`
const API = `/api/v1/${RUN}`
const JSON_BODY = ['Content-Type: application/json']
const FORM_BODY = ['Content-Type: application/x-www-form-urlencoded']

const get =
  (before: string, after = '') =>
  (text: string): Attack => ({ target: before + text + after })

const json =
  (target: string) =>
  (text: string): Attack => ({
    method: 'POST',
    target,
    fields: JSON_BODY,
    body: JSON.stringify({ paths: [text] }),
  })

const urlencoded =
  (target: string) =>
  (text: string): Attack => ({
    method: 'POST',
    target,
    fields: FORM_BODY,
    body: `path=${text}`,
  })

const run = (title: string, fair: string, ask: Place['ask'], finds?: string): Place => ({
  title,
  from: 'run',
  fair,
  ask,
  ...(finds !== undefined && { finds }),
})
const uuid = (title: string, fair: string, ask: Place['ask'], finds?: string): Place => ({
  title,
  from: 'uuid',
  fair,
  ask,
  ...(finds !== undefined && { finds }),
})

export const READING: readonly Place[] = [
  run('/outputs: a file', 'inside.txt', get(`${OUTPUTS}/`)),
  run('/outputs: a file to be saved', 'inside.txt', get(`${OUTPUTS}/`, '?download=true')),
  run('/outputs: a folder', 'folder', get(`${OUTPUTS}/`, '/?format=text&recursive=true'), 'inside.txt'),
  run('/outputs: a folder as JSON', 'folder', get(`${OUTPUTS}/`, '/?format=json'), 'inside.txt'),
  run('/outputs: an archive', 'folder', get(`${OUTPUTS}/`, '/?archive=tar')),
  run('/outputs: path of an archive', 'inside.txt', get(`${OUTPUTS}/?archive=tar&path=`)),
  run('/outputs: path of a zip', 'folder/', get(`${OUTPUTS}/?archive=zip&path=`)),
  run('/outputs: glob of an archive', '**/inside.txt', get(`${OUTPUTS}/?archive=tar&glob=`)),
  run('/outputs: exclude of an archive', 'notebook.ipynb', get(`${OUTPUTS}/?archive=tar&exclude=`)),
  run('/outputs: glob of a listing', 'inside*', get(`${OUTPUTS}/?format=text&glob=`), 'inside.txt'),
  run('/outputs: paths in JSON', 'inside.txt', json(`${OUTPUTS}/?archive=tar`)),
  run('/outputs: paths in a form', 'inside.txt', urlencoded(`${OUTPUTS}/?archive=tar`)),
  run('/outputs: owner', 'ann', get('/outputs/', '/mnist/experiments/1/inside.txt')),
  run('/outputs: project', 'mnist', get('/outputs/ann/', '/experiments/1/inside.txt')),
  run('/outputs: kind', 'experiments', get('/outputs/ann/mnist/', '/1/inside.txt')),
  run('/outputs: run', '1', get('/outputs/ann/mnist/experiments/', '/inside.txt')),
  run('/outputs: run of 2.x', UUID, get('/outputs/ann/mnist/runs/', '/inside.txt')),
  run('/outputs: runs of a project', 'ann/mnist', get('/outputs/', '/experiments/?format=text'), '1'),
  run('/outputs: connection', 'other', get(`${OUTPUTS}/inside.txt?connection=`)),
  uuid('/streams/v1: artifact', 'inside.txt', get(`${STREAMS}/artifact?path=`)),
  uuid('/streams/v1: artifact in place', 'inside.txt', get(`${STREAMS}/artifact?stream=true&path=`)),
  uuid('/streams/v1: notebook', 'notebook.ipynb', get(`${STREAMS}/artifact?stream=1&render=true&path=`)),
  uuid('/streams/v1: embedded artifact', 'inside.txt', get(`${STREAMS}/embedded_artifact?path=`)),
  uuid('/streams/v1: read-only artifact', 'inside.txt', get(`${STREAMS}/ro_artifact/`)),
  uuid('/streams/v1: artifacts', 'folder', get(`${STREAMS}/artifacts?path=`)),
  uuid('/streams/v1: artifacts of a file', 'inside.txt', get(`${STREAMS}/artifacts?check_path=true&path=`)),
  uuid('/streams/v1: tree', 'folder', get(`${STREAMS}/artifacts/tree?path=`), 'inside.txt'),
  uuid('/streams/v1: last file of the logs', 'pod.jsonl', get(`${STREAMS}/logs?last_file=`)),
  uuid('/streams/v1: names of events', 'loss', get(`${STREAMS}/events/metric?names=`), '0.5'),
  uuid('/streams/v1: kind of events', 'metric', get(`${STREAMS}/events/`, '?names=loss'), '0.5'),
  uuid(
    '/streams/v1: events with assets',
    'loss',
    get(`${STREAMS}/events/metric?pkg_assets=true&names=`),
    '0.5',
  ),
  uuid('/streams/v1: names of resources', 'cpu', get(`${STREAMS}/resources?names=`), '0.5'),
  uuid(
    '/streams/v1: runs of events',
    UUID,
    get('/streams/v1/default/ann/mnist/runs/multi/events/metric?names=loss&runs='),
    '0.5',
  ),
  uuid(
    '/streams/v1: runs of an organisation',
    UUID,
    get('/streams/v1/default/orgs/ann/runs/multi/events/metric?names=loss&runs='),
    '0.5',
  ),
  uuid(
    '/streams/v1: namespace',
    'default',
    get('/streams/v1/', `/ann/mnist/runs/${UUID}/artifact?path=inside.txt`),
  ),
  uuid(
    '/streams/v1: owner',
    'ann',
    get('/streams/v1/default/', `/mnist/runs/${UUID}/artifact?path=inside.txt`),
  ),
  uuid('/streams/v1: run', UUID, get('/streams/v1/default/ann/mnist/runs/', '/artifact?path=inside.txt')),
  uuid(
    '/streams/v1: run of a tree',
    UUID,
    get('/streams/v1/default/ann/mnist/runs/', '/artifacts/tree'),
    'inside.txt',
  ),
  uuid('/streams/v1: run of logs', UUID, get('/streams/v1/default/ann/mnist/runs/', '/logs')),
  uuid('/streams/v1: connection', 'other', get(`${STREAMS}/artifact?path=inside.txt&connection=`)),
  run('/api/v1: file', 'inside.txt', get(`${API}/outputs/files?path=`)),
  run('/api/v1: tree', 'folder', get(`${API}/outputs/tree?path=`), 'inside.txt'),
  run('/api/v1: run of a download', '1', get('/api/v1/ann/mnist/experiments/', '/outputs/download')),
  run('/api/v1: owner', 'ann', get('/api/v1/', '/mnist/experiments/1/outputs/files?path=inside.txt')),
  run('/api/v1: kind', 'experiments', get('/api/v1/ann/mnist/', '/1/outputs/files?path=inside.txt')),
  run('/api/v1: run of a log', '1', get('/api/v1/ann/mnist/experiments/', '/logs')),
  run('/api/v1: connection', 'other', get(`${API}/outputs/files?path=inside.txt&connection=`)),
]

const put =
  (before: string, after: string, body: string | Buffer) =>
  (text: string): Attack => ({
    method: 'PUT',
    target: before + text + after,
    body,
  })

const remove =
  (before: string, after = '') =>
  (text: string): Attack => ({
    method: 'DELETE',
    target: before + text + after,
  })

const post =
  (before: string, after = '') =>
  (text: string): Attack => ({
    method: 'POST',
    target: before + text + after,
    body: '',
  })

const multipart = (target: string, ...parts: readonly Buffer[]): Attack => ({
  method: 'POST',
  target,
  fields: [`Content-Type: ${FORM_TYPE}`],
  body: form(...parts),
})

/** As browsers do with quotes (WHATWG HTML 4.10.22.8), and nothing else. */
const quotable = (name: string): string => name.replaceAll('"', '%22')

const streamsForm =
  (kind: 'artifact' | 'artifacts', fieldsOf: (text: string) => object, nameOf: (text: string) => string) =>
  (text: string): Attack =>
    multipart(
      `${STREAMS}/${kind}`,
      filePart(quotable(nameOf(text)), CONTENT, 'upload_file'),
      fieldPart('json', JSON.stringify({ untar: false, ...fieldsOf(text) })),
    )

const tus =
  (metadata: (text: string) => Readonly<Record<string, string>>) =>
  (text: string): Attack => ({
    method: 'POST',
    target: '/uploads',
    fields: [
      'Tus-Resumable: 1.0.0',
      `Upload-Length: ${CONTENT.length}`,
      'Content-Type: application/offset+octet-stream',
      `Upload-Metadata: ${metadataOf(metadata(text))}`,
    ],
    body: CONTENT,
  })

const MEMBER = tarOf({ name: 'member.txt', content: CONTENT })

/** Each changes the run, or the other store, with its fair text. */
export const CHANGING: readonly Place[] = [
  run('/outputs: PUT of a file', 'new.txt', put(`${OUTPUTS}/`, '', CONTENT)),
  run('/outputs: PUT of an archive', 'new', put(`${OUTPUTS}/`, '/?unpack=tar', MEMBER)),
  run('/outputs: PUT, owner', 'ann', put('/outputs/', '/mnist/experiments/1/new.txt', CONTENT)),
  run('/outputs: PUT, run', '1', put('/outputs/ann/mnist/experiments/', '/new.txt', CONTENT)),
  run('/outputs: PUT, connection', 'other', put(`${OUTPUTS}/new.txt?connection=`, '', CONTENT)),
  run('/outputs: DELETE of a file', 'inside.txt', remove(`${OUTPUTS}/`)),
  run('/outputs: DELETE of a folder (CVE-2024-1560)', 'folder', remove(`${OUTPUTS}/`, '/?recursive=true')),
  run('/outputs: DELETE, run', '1', remove('/outputs/ann/mnist/experiments/', '/?recursive=true')),
  run('/outputs: copyTo', 'new.txt', post(`${OUTPUTS}/inside.txt?copyTo=`)),
  run('/outputs: moveTo', 'new.txt', post(`${OUTPUTS}/inside.txt?moveTo=`)),
  run('/outputs: source of a copy (CVE-2023-1177)', 'inside.txt', post(`${OUTPUTS}/`, '?copyTo=new.txt')),
  run('/outputs: source of a move', 'inside.txt', post(`${OUTPUTS}/`, '?moveTo=new.txt')),
  run('/outputs: deleted paths in JSON', 'inside.txt', json(`${OUTPUTS}/?delete`)),
  run('/outputs: deleted folders in JSON', 'folder/', json(`${OUTPUTS}/?delete&recursive`)),
  run('/outputs: deleted paths in a form', 'inside.txt', urlencoded(`${OUTPUTS}/?delete&recursive`)),
  run('/outputs: file name in a form', 'new.txt', text =>
    multipart(`${OUTPUTS}/`, filePart(quotable(text), CONTENT)),
  ),
  run('/outputs: folder of a form', 'folder', text =>
    multipart(`${OUTPUTS}/${text}/`, filePart('new.txt', CONTENT)),
  ),
  uuid(
    '/streams/v1: file name of an artifact',
    'new.txt',
    streamsForm(
      'artifact',
      () => ({}),
      text => text,
    ),
  ),
  uuid(
    '/streams/v1: path of an artifact',
    'new',
    streamsForm(
      'artifact',
      path => ({ path }),
      () => 'new.txt',
    ),
  ),
  uuid(
    '/streams/v1: path of artifacts',
    'new',
    streamsForm(
      'artifacts',
      path => ({ path }),
      () => 'new.txt',
    ),
  ),
  uuid(
    '/streams/v1: connection of an artifact',
    'other',
    streamsForm(
      'artifact',
      connection => ({ connection }),
      () => 'new.txt',
    ),
  ),
  uuid('/streams/v1: unpacked path', 'new', text =>
    multipart(
      `${STREAMS}/artifacts`,
      filePart('new.tar', MEMBER, 'upload_file'),
      fieldPart('json', JSON.stringify({ untar: true, path: text })),
    ),
  ),
  uuid('/streams/v1: run of an artifact', UUID, text =>
    multipart(
      `/streams/v1/default/ann/mnist/runs/${text}/artifact`,
      filePart('new.txt', CONTENT, 'upload_file'),
      fieldPart('json', '{"untar":false}'),
    ),
  ),
  uuid('/streams/v1: DELETE of an artifact', 'inside.txt', remove(`${STREAMS}/artifact?path=`)),
  uuid('/streams/v1: DELETE of artifacts', 'folder', remove(`${STREAMS}/artifacts?path=`)),
  uuid(
    '/streams/v1: DELETE, run',
    UUID,
    remove('/streams/v1/default/ann/mnist/runs/', '/artifacts?path=folder'),
  ),
  run(
    '/uploads: path',
    'new.txt',
    tus(text => ({ path: `${RUN}/${text}` })),
  ),
  run(
    '/uploads: run',
    '1',
    tus(text => ({ path: `ann/mnist/experiments/${text}/new.txt` })),
  ),
  run(
    '/uploads: all of the path',
    `${RUN}/new.txt`,
    tus(path => ({ path })),
  ),
  run(
    '/uploads: connection',
    'other',
    tus(connection => ({ path: `${RUN}/new.txt`, connection })),
  ),
]
