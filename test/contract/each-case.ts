// A fresh store for each case of a describe.
import { afterEach, beforeEach } from 'vitest'
import type { Harness, MakeHarness } from './harness.ts'

/** A harness for each case of the enclosing describe, closed after it. */
export function eachCase(make: MakeHarness): () => Harness {
  let harness: Harness | undefined
  beforeEach(async () => {
    harness = await make()
  })
  afterEach(async () => {
    await harness?.close()
    harness = undefined
  })
  return () => harness!
}
