// ArtifactPath: the only form in which a path goes further in than the request line, and the order of paths.
import { AppError } from '../errors.ts'

/**
 * A path relative to the root of a store: segments joined by `/`; the root itself is ''.
 *
 * No segment is empty, `.` or `..`; none holds NUL, is longer than 255 bytes of UTF-8, or climbs when a backslash is read as a separator.
 * Names such as `..x`, `a b`, `%41` or an emoji are ordinary. Only `parsePath` and `joinPath` make one.
 */
export type ArtifactPath = string & { readonly __artifactPath: true }

export const ROOT = '' as ArtifactPath

const MAX_SEGMENT_BYTES = 255
const MAX_PATH_BYTES = 4096

/**
 * Checks decoded text, as it came from a URL or a list of paths.
 *
 * Fails with InvalidPath for an absolute path, an empty, `.` or `..` segment (also between backslashes), NUL, a lone surrogate, or too long a name.
 */
export function parsePath(text: string): ArtifactPath {
  if (text === '') return ROOT
  if (text.includes('\0')) throw invalid(text, 'it holds a NUL character')
  if (!text.isWellFormed()) throw invalid(text, 'it is not valid Unicode')
  if (text.startsWith('/')) throw invalid(text, 'it must be relative, without a leading slash')
  if (text.length > MAX_PATH_BYTES / 3 && Buffer.byteLength(text) > MAX_PATH_BYTES)
    throw invalid(text.slice(0, 64), `it is longer than ${MAX_PATH_BYTES} bytes`)
  for (const segment of text.split('/')) checkSegment(text, segment)
  return text as ArtifactPath
}

function checkSegment(text: string, segment: string): void {
  if (segment === '') throw invalid(text, 'it has an empty segment')
  if (segment === '.' || segment === '..') throw invalid(text, `it has a '${segment}' segment`)
  // Windows clients, and servers behind other decoders, read `\` as a separator (MLflow CVE-2023-2780).
  if (segment.includes('\\') && segment.split('\\').some(part => part === '..' || part === '.'))
    throw invalid(text, 'it climbs with backslashes')
  if (segment.length > MAX_SEGMENT_BYTES / 3 && Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)
    throw invalid(text, `a name in it is longer than ${MAX_SEGMENT_BYTES} bytes`)
}

function invalid(text: string, why: string): AppError {
  return new AppError('InvalidPath', `The path is not valid: ${why}.`, { op: 'parse', path: text })
}

/** `base` followed by `rest`; both are valid already, so this never fails. */
export function joinPath(base: ArtifactPath, rest: ArtifactPath): ArtifactPath {
  if (base === '') return rest
  return rest === '' ? base : (`${base}/${rest}` as ArtifactPath)
}

/** The last segment; '' for the root. */
export function nameOf(path: ArtifactPath): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** `path` without its last segment; the root for a path of one segment. */
export function parentOf(path: ArtifactPath): ArtifactPath {
  const slash = path.lastIndexOf('/')
  return (slash < 0 ? '' : path.slice(0, slash)) as ArtifactPath
}

/** Whether `path` is `folder` or lies in it, compared by segment: `run1` does not cover `run10`. */
export function covers(folder: ArtifactPath, path: ArtifactPath): boolean {
  return folder === '' || path === folder || (path.startsWith(folder) && path[folder.length] === '/')
}

/** `path` relative to `folder`, which must cover it. */
export function relativeTo(folder: ArtifactPath, path: ArtifactPath): ArtifactPath {
  return (folder === '' ? path : path.slice(folder.length + 1)) as ArtifactPath
}

const ABOVE_SURROGATES = /[\uD800-\uFFFF]/

/**
 * Orders two strings by the bytes of their UTF-8 form, which is what S3, GCS and Azure do.
 *
 * UTF-16 order, which `<` gives, differs only where one string has a surrogate pair and the other a character from U+E000 up.
 */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0
  if (!ABOVE_SURROGATES.test(a) || !ABOVE_SURROGATES.test(b)) return a < b ? -1 : 1
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return codePointRank(x) - codePointRank(y)
  }
  return a.length - b.length
}

/** Code units in the order of the code points they begin: surrogates after everything else. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}
