import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { MemberContents } from '../../src/content/archive-members.ts'
import { Places } from '../../src/content/archive-places.ts'
import { CrcCache, RunningCrc } from '../../src/content/crc.ts'
import { buildManifest } from '../../src/content/manifest.ts'
import { SlabPool } from '../../src/content/rope-buffers.ts'
import { AheadBudget } from '../../src/content/rope-lookahead.ts'
import { readRope, ropeSize } from '../../src/content/rope.ts'
import { KnownChecksums, ZipChecksums } from '../../src/content/zip-checksums.ts'
import { ZipLayout, ZipRope } from '../../src/content/zip.ts'
import { ROOT } from '../../src/store/path.ts'
import { collect, GENEROUS } from './archives.ts'
import { pattern, SyntheticStore } from './synthetic-store.ts'

const BYTES = Buffer.from('the content of a member')

describe('RunningCrc', () => {
  it.each([
    ['from the beginning', 0, 0, BYTES.length],
    ['from the end of what is known', 7, 7, BYTES.length],
    ['over what is known already', 7, 3, BYTES.length],
    ['not over a gap', 3, 7, 3],
  ])('counts %s', (_how, known, position, upTo) => {
    const running = new RunningCrc({ upTo: known, crc: crc32(BYTES.subarray(0, known)) }, position)
    for (let at = position; at < BYTES.length; at += 4) running.update(BYTES.subarray(at, at + 4))
    expect(running.prefix).toEqual({ upTo, crc: crc32(BYTES.subarray(0, upTo)) })
  })
})

describe('CrcCache', () => {
  it('keeps the longest prefix, and forgets what was not used for longest when its memory is full', () => {
    const cache = new CrcCache(1000)
    cache.record('a', { upTo: 5, crc: 1 })
    cache.record('a', { upTo: 3, crc: 2 })
    expect(cache.prefix('a')).toEqual({ upTo: 5, crc: 1 })
    for (let i = 0; i < 20; i++) cache.record(`other ${i}`, { upTo: 1, crc: i })
    expect(cache.prefix('a')).toEqual({ upTo: 0, crc: 0 })
    expect(cache.prefix('other 19')).toEqual({ upTo: 1, crc: 19 })
  })

  it('does not keep what was counted of a content that could not be read to its end', async () => {
    const cache = new CrcCache(1000)
    const read = async function* (): AsyncGenerator<Uint8Array> {
      await Promise.resolve()
      yield BYTES
      throw new Error('it changed')
    }
    await expect(cache.complete('a', 100, read, undefined)).rejects.toThrow('it changed')
    expect(cache.prefix('a').upTo).toBe(0)
  })
})

describe('a whole pass over a zip', () => {
  it('reads every member once although the cache of the process can hold nothing', async () => {
    const store = new SyntheticStore()
      .synthetic('large', 1_000_000, pattern(1))
      .synthetic('larger', 2_000_000, pattern(2))
    for (let i = 0; i < 200; i++) store.file(`small/${i}`, `${i}`)
    const manifest = await buildManifest(store, ROOT, {}, GENEROUS, new AbortController().signal)
    const resources = {
      loads: new Places(4),
      rereads: new Places(1),
      slabs: new SlabPool(0),
      ahead: { pieces: 4, budget: new AheadBudget(0) },
    }
    const contents = new MemberContents(store, manifest, resources)
    const known = new KnownChecksums(manifest.count)
    const checksums = new ZipChecksums({
      manifest,
      contents,
      known,
      cache: new CrcCache(1),
      scopeKey: 'test',
    })
    const rope = new ZipRope(new ZipLayout(manifest), contents, checksums)
    await collect(readRope(rope, 0, ropeSize(rope)))
    expect(store.opened).toBe(202)
  })
})
