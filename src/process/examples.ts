// Example requests that work with what the store holds, found by asking the service itself: so they know of layouts and base path.
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { components } from '../generated/api.d.ts'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../sample/contents.ts'
import { MODEL_HEADER_BYTES, MODEL_INDEX_START } from '../sample/model-file.ts'

export interface Examples {
  /** A run's folder, with its last slash. */
  readonly folder: string
  /** A file in it, and a range of its bytes as `first-last`. */
  readonly file: string
  readonly range: string
}

type Listing = components['schemas']['Listing']

/** Owner, project, kind and run, and a few folders more in layouts of somebody's own. */
const MAX_DEPTH = 6
const PATIENCE_MS = 3000

/** Undefined when there is no run with a file in it, or when finding one takes too long. `url` has no last slash. */
export async function findExamples(url: string): Promise<Examples | undefined> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    return (await sampleExamples(url, signal)) ?? (await firstRun(`${url}/outputs/`, signal))
  } catch {
    // A store that does not answer is reported by readiness; the banner does without.
    return undefined
  }
}

async function sampleExamples(url: string, signal: AbortSignal): Promise<Examples | undefined> {
  const folder = `${url}/outputs/${SAMPLE_EXPERIMENT}/`
  const file = folder + SAMPLE_MODEL
  const answer = await fetch(file, { method: 'HEAD', signal })
  // The index of the tensors: JSON, so that a terminal can show it.
  return answer.ok ? { folder, file, range: `${MODEL_INDEX_START}-${MODEL_HEADER_BYTES - 1}` } : undefined
}

/** Goes down the first folder of each level until it is in a run, which is where archives are offered. */
async function firstRun(start: string, signal: AbortSignal): Promise<Examples | undefined> {
  let folder = start
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const { entries, links } = await list(folder, signal)
    if (links.archives !== undefined) return firstFile(folder, signal)
    const next = entries.find(entry => entry.type === 'directory')
    if (next === undefined) return undefined
    folder = new URL(next.links.self, folder).href
  }
  return undefined
}

/** From the stream of all entries, which ends when the first file has come: a run may hold a hundred thousand. */
async function firstFile(folder: string, signal: AbortSignal): Promise<Examples | undefined> {
  const { ok, body } = await fetch(`${folder}?format=ndjson&recursive=true`, { signal })
  if (!ok || body === null) return undefined
  const input = Readable.fromWeb(body)
  // Left in the middle, it fails when the patience is over, and nobody else is there to hear of it.
  input.on('error', () => undefined)
  try {
    for await (const line of createInterface({ input, signal })) {
      const { links, size, unreadable } = JSON.parse(line) as Partial<components['schemas']['Entry']>
      if (links === undefined || !size || unreadable !== undefined) continue
      return { folder, file: new URL(links.self, folder).href, range: `0-${Math.min(size, 100) - 1}` }
    }
    return undefined
  } finally {
    input.destroy()
  }
}

async function list(folder: string, signal: AbortSignal): Promise<Listing> {
  const answer = await fetch(`${folder}?format=json&limit=100`, { signal })
  if (!answer.ok) throw new Error(`The listing answered ${answer.status}.`)
  return (await answer.json()) as Listing
}
