import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Digests } from '../../src/content/digest.ts'
import type { Representation } from '../../src/content/representation.ts'

const CONTENT = Buffer.from('content')
const EXPECTED = createHash('sha256').update(CONTENT).digest('hex')

function counted(): { representation: Representation; reads: () => number } {
  let reads = 0
  return {
    reads: () => reads,
    representation: {
      size: CONTENT.length,
      etag: 'tag',
      lastModifiedMs: undefined,
      mediaType: 'text/plain',
      filename: 'file',
      async *read(_start, _end, options) {
        reads++
        await turn()
        options?.signal?.throwIfAborted()
        yield CONTENT
      },
      close: () => Promise.resolve(),
    },
  }
}

const signal = new AbortController().signal

describe('the digest of a representation', () => {
  it('is computed once for all who ask meanwhile and later', async () => {
    const { representation, reads } = counted()
    const digests = new Digests(1000)
    const asked = Array.from({ length: 8 }, () => digests.sha256('run', 'file', representation, signal))
    for (const digest of await Promise.all(asked)) expect(digest?.toString('hex')).toBe(EXPECTED)
    await digests.sha256('run', 'file', representation, signal)
    expect(reads()).toBe(1)
  })

  it('is computed for those who wait when the one who computes breaks off', async () => {
    const { representation, reads } = counted()
    const digests = new Digests(1000)
    const leaving = new AbortController()
    const first = digests.sha256('run', 'file', representation, leaving.signal)
    const second = digests.sha256('run', 'file', representation, signal)
    leaving.abort()
    await expect(first).rejects.toThrow()
    expect((await second)?.toString('hex')).toBe(EXPECTED)
    expect(reads()).toBe(2)
  })

  it('is not computed for what is larger than allowed', async () => {
    const { representation, reads } = counted()
    expect(await new Digests(3).sha256('run', 'file', representation, signal)).toBeUndefined()
    expect(reads()).toBe(0)
  })
})
