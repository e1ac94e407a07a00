// Compressed bytes inside an archive. Where they end is known only when it has been reached, so what was read too much is given back.
import { createGunzip, type Gunzip, type InflateRaw } from 'node:zlib'
import { isAppError } from '../errors.ts'
import type { UnpackBudget } from './unpack-budget.ts'
import type { ArchiveInput } from './unpack-input.ts'
import { damaged, truncated } from './unpack-refusal.ts'

/** What a decompressor gives at a time. */
export const INFLATED_BYTES = 64 * 1024

/**
 * What `engine` makes of the next bytes of `input`. When it ends, exactly the compressed bytes have been taken.
 *
 * Fails where they are damaged or cut off, and with TooLarge where they become too many.
 */
export async function* inflated(
  engine: Gunzip | InflateRaw,
  input: ArchiveInput,
  budget: UnpackBudget,
): AsyncGenerator<Buffer, void> {
  // Every failure is seen by the loop or by whoever waits for `feeding`; one that comes after both ended concerns nobody.
  engine.on('error', () => undefined)
  const feeding = feed(engine, input)
  feeding.catch((error: unknown) => engine.destroy(error as Error))
  try {
    for await (const chunk of engine) {
      budget.takeInflated((chunk as Buffer).length, input.position)
      yield chunk as Buffer
    }
    await feeding
  } catch (error) {
    throw isAppError(error) ? error : failureOf(error)
  } finally {
    engine.destroy()
  }
}

async function feed(engine: Gunzip | InflateRaw, input: ArchiveInput): Promise<void> {
  for (let chunk; (chunk = await input.some()) !== undefined;) {
    if (engine.destroyed) return
    const before = engine.bytesWritten
    await written(engine, chunk)
    const used = engine.bytesWritten - before
    if (used < chunk.length) {
      input.unread(chunk.subarray(used))
      break
    }
  }
  engine.end()
}

function written(engine: Gunzip | InflateRaw, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.write(chunk, error => {
      if (error) reject(error)
      else resolve()
    })
  })
}

function failureOf(error: unknown): Error {
  // zlib has used up its input and the end was not in it.
  if (error instanceof Error && 'code' in error && error.code === 'Z_BUF_ERROR')
    return truncated('inside of compressed bytes', error)
  return damaged('what is compressed in it cannot be decompressed', error)
}

/** The content of a gzip file (RFC 1952): one member or several. */
export async function* gunzipped(input: ArchiveInput, budget: UnpackBudget): AsyncGenerator<Buffer, void> {
  yield* inflated(createGunzip({ chunkSize: INFLATED_BYTES }), input, budget)
  await input.finish()
}
