// Media types by file name, never by content or by what a client says, and the closed list of those that a browser may show in place.
import { lookup } from 'mime-types'

const OCTET_STREAM = 'application/octet-stream'

// What runs write and mime-types does not know, or knows as something that no run holds (`.ts` as a video, `.rs` as XML).
const TYPE_BY_EXTENSION = new Map([
  ...typed('text/plain', 'cfg conf diff err ini lock log out patch plx properties rst tex toml'),
  ...typed(
    'text/plain',
    'c cc cpp cs cts cu cuh go h hpp java jl jsx kt lua m mts pyx r rb rs scala sql swift ts tsx',
  ),
  ...typed('text/plain', 'pbtxt proto prototxt'),
  ...typed('text/javascript', 'cjs'),
  ...typed('text/vnd.graphviz', 'dot'),
  ...typed('text/x-python', 'py pyi'),
  ...typed('text/x-shellscript', 'bash sh zsh'),
  ...typed('application/gzip', 'tgz'),
  // LMDB and pickles, not Access and Pascal.
  ...typed(OCTET_STREAM, 'mdb p'),
  ...typed('application/vnd.apache.arrow.file', 'arrow'),
  ...typed('application/vnd.apache.parquet', 'parquet'),
  ...typed('application/vnd.sqlite3', 'sqlite sqlite3'),
  ...typed('application/x-hdf5', 'h5 hdf5'),
  ...typed('application/x-ndjson', 'jsonl ndjson'),
  ...typed('application/zstd', 'zst'),
])

const TEXT_NAMES = new Set([
  ...words('authors changelog contributors copying licence license notice readme version'),
  ...words('dockerfile jenkinsfile log logs makefile procfile stderr stdout'),
  ...words('.dockerignore .env .gitattributes .gitignore .polyaxonignore'),
])

// `events.out.tfevents.1700000000.gpu-3.example.com`: the host comes last and is no extension.
const EVENT_FILE = /(^|\.)tfevents\./
const ROTATED_LOG = /\.log\.[\d-]+$/

/** The Content-Type of an artifact called `name`, one path segment in any letter case: with `charset=utf-8` where it is text. */
export function mediaTypeOf(name: string): string {
  const type = typeOf(name.toLowerCase())
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}

function typeOf(name: string): string {
  if (EVENT_FILE.test(name)) return OCTET_STREAM
  if (TEXT_NAMES.has(name) || ROTATED_LOG.test(name)) return 'text/plain'
  // A leading dot hides a file and begins no extension; a file called `html` is not a page.
  const dot = name.lastIndexOf('.')
  if (dot <= 0) return OCTET_STREAM
  const extension = name.slice(dot + 1)
  return TYPE_BY_EXTENSION.get(extension) ?? (lookup(`.${extension}`) || OCTET_STREAM)
}

function typed(type: string, extensions: string): (readonly [extension: string, type: string])[] {
  return words(extensions).map(extension => [extension, type] as const)
}

function words(list: string): string[] {
  return list.split(' ')
}

// Closed, so that a type somebody registers tomorrow is not shown by accident. Whatever can run script or load anything (html, svg,
// xml, pdf, javascript, css) stays out: artifacts are written by users and share an origin with the service.
const INLINE_SAFE = new Set([
  ...subtypes('image', 'apng avif bmp gif jpeg jxl png tiff vnd.microsoft.icon webp x-icon'),
  ...subtypes('audio', 'aac flac mp4 mpeg ogg wav webm x-flac'),
  ...subtypes('video', 'mp4 mpeg ogg quicktime webm x-matroska'),
  ...subtypes('text', 'csv markdown plain tab-separated-values vnd.graphviz x-python x-shellscript yaml'),
  ...subtypes('application', 'geo+json json x-ipynb+json x-ndjson'),
])

function subtypes(type: string, list: string): string[] {
  return words(list).map(subtype => `${type}/${subtype}`)
}

/** Whether a browser may show content of this type in place. Parameters and letter case do not matter. */
export function isInlineSafe(mediaType: string): boolean {
  const essence = mediaType.split(';', 1)[0]!.trim().toLowerCase()
  return INLINE_SAFE.has(essence)
}
