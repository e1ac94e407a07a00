// What a URL below /outputs names. The path is decoded here, once, and nowhere else.
import { RUN_KINDS } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { RunReference } from '../runs/layout.ts'
import { isRunKind } from '../runs/levels.ts'
import type { Level } from '../runs/levels.ts'
import { parsePath } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'

/** Owner, project, kind and id. */
const RUN_SEGMENTS = 4

export type Target =
  | { readonly type: 'level'; readonly level: Level; readonly slash: boolean }
  | {
      readonly type: 'artifact'
      readonly reference: RunReference
      readonly path: ArtifactPath
      /** Whether the URL has the form of a folder. */
      readonly slash: boolean
      /** Whether the URL is the run's own, without detours such as `//` or `/./`. */
      readonly isRun: boolean
      /** Folders between the run and what the URL names, as a client counts them that resolves a relative reference: an escaped slash is none. */
      readonly depth: number
    }

/**
 * Parses the raw path after `/outputs`, beginning with a slash or empty, without a query.
 *
 * InvalidPath for what no path can be; NotFound for a kind that does not exist. `%2F` counts as a slash within the artifact's path and is refused before it.
 */
export function parseTarget(rawPath: string): Target {
  // `./name` is `name` (RFC 3986 5.2.4): Go's clients, rclone among them, send it so when the name holds a colon.
  const raw = rawPath.replace(/\/\.(?=\/)/g, '').replace(/^\//, '')
  const slash = raw === '' ? rawPath !== '' : raw.endsWith('/')
  const segments = (slash ? raw.slice(0, -1) : raw).split('/')
  if (raw === '') segments.length = 0
  const [owner, project, kind, id] = segments.slice(0, RUN_SEGMENTS).map(decodeName)
  if (kind !== undefined && !isRunKind(kind))
    throw new AppError('NotFound', `There is no kind '${kind}': it is one of ${RUN_KINDS.join(', ')}.`, {
      op: 'resolve',
      path: kind,
    })
  if (owner === undefined || project === undefined || kind === undefined || id === undefined)
    return { type: 'level', level: known({ owner, project, kind }), slash }
  const path = parsePath(decodeURIComponent(segments.slice(RUN_SEGMENTS).join('/')))
  const isRun = /^(?:\/[^/]+){4}\/$/.test(rawPath)
  const depth = Math.max(0, segments.length - RUN_SEGMENTS - 1)
  return { type: 'artifact', reference: { owner, project, kind, id }, path, slash, isRun, depth }
}

/** A segment that names an owner, a project, a kind or a run. */
export function decodeName(segment: string): string {
  return parseName(decodeURIComponent(segment))
}

/** The same where it is decoded already. InvalidPath for what is no single segment of a path. */
export function parseName(text: string): string {
  const name = parsePath(text)
  if (name === '' || name.includes('/'))
    throw new AppError(
      'InvalidPath',
      'The names before the path of an artifact must be single, non-empty segments.',
      {
        op: 'parse',
        path: name,
      },
    )
  return name
}

function known(level: {
  owner: string | undefined
  project: string | undefined
  kind: RunReference['kind'] | undefined
}): Level {
  return {
    ...(level.owner !== undefined && { owner: level.owner }),
    ...(level.project !== undefined && { project: level.project }),
    ...(level.kind !== undefined && { kind: level.kind }),
  }
}
