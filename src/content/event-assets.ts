// The files that events speak of: an image or a model is a file of the run, and its event says where.
import { AppError, isAppError } from '../errors.ts'
import { parsePath, ROOT, type ArtifactPath } from '../store/path.ts'
import { isLines } from './event-file.ts'
import { LineRows, SeparatedRows, type LineCell } from './event-rows.ts'
import type { EventText } from './event-text.ts'

/**
 * The paths, relative to the run, that the events of `kind` in `text` have as their `path`, each once; they need not exist. What is no path within a run is left out.
 *
 * Fails with TooLarge when there are more than `limit`, and as `EventText.pieces` does.
 */
export async function assetPaths(
  text: EventText,
  kind: string,
  limit: number,
  signal?: AbortSignal,
): Promise<ReadonlySet<ArtifactPath>> {
  const paths = new Set<ArtifactPath>()
  for await (const values of valuesOf(text, kind, signal)) {
    for (const value of values) {
      const path = pathOf(value)
      if (path !== undefined) paths.add(path)
    }
    if (paths.size > limit)
      throw new AppError(
        'TooLarge',
        `The events name more than ${limit} files, which is the limit (setting archives.maxEntries).`,
        { op: 'archive' },
      )
  }
  return paths
}

async function* valuesOf(
  text: EventText,
  kind: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<(LineCell | undefined)[], void> {
  if (await isLines(text, signal)) {
    const parser = new LineRows()
    for await (const piece of text.pieces(signal)) yield parser.push(piece).map(row => row.get(kind))
    yield [parser.end()?.get(kind)]
  } else {
    const parser = new SeparatedRows()
    const valueOf = (row: readonly string[] | undefined): string | undefined =>
      row?.[parser.header!.indexOf(kind)]
    for await (const piece of text.pieces(signal)) yield parser.push(piece).map(valueOf)
    yield [valueOf(parser.end())]
  }
}

function pathOf(value: LineCell | undefined): ArtifactPath | undefined {
  const json = typeof value === 'object' && value !== null ? value.json : value
  if (typeof json !== 'string' || !json.startsWith('{')) return undefined
  try {
    const { path } = JSON.parse(json) as { readonly path?: unknown }
    // The run itself is no asset of an event.
    return typeof path === 'string' && path !== ROOT ? parsePath(path) : undefined
  } catch (error) {
    if (error instanceof SyntaxError || isAppError(error, 'InvalidPath')) return undefined
    throw error
  }
}
