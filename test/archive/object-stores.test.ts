// Archives over stores behind a network: what is asked for at a time, and checksums that the store keeps so that nothing is read again for them.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Archives } from '../../src/content/archive.ts'
import { AppError, isAppError } from '../../src/errors.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { ArtifactPath } from '../../src/store/path.ts'
import { s3Objects } from '../../src/store/s3.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { CountingProxy } from '../support/counting-proxy.ts'
import { makeBucket, s3Definition, s3Server } from '../support/store-s3.ts'
import { collect, newArchives, openArchive, readAll } from './archives.ts'
import { pattern, SyntheticStore } from './synthetic-store.ts'

const NETWORK = { latency: 'network', changesInPlace: false } as const
const LARGE = 3_000_000

function smallMembers(count: number, capabilities = {}): SyntheticStore {
  const store = new SyntheticStore({ ...NETWORK, ...capabilities })
  for (let i = 0; i < count; i++) store.synthetic(`small/${i}`, 1000, pattern(i))
  return store
}

describe('an archive of a store behind a network', () => {
  it('asks for 48 small members at a time', async () => {
    const store = smallMembers(200)
    store.onRead = () => delay(5)
    await readAll(await openArchive(store, 'tar'))
    expect(store.maxOpen).toBe(48)
  })

  it('leaves a quarter of what the store takes at once to others', async () => {
    const store = smallMembers(100, { concurrency: 12 })
    store.onRead = () => delay(2)
    const archives = newArchives()
    const open = (): Promise<Buffer> => openArchive(store, 'tar', { archives }).then(readAll)
    await Promise.all([open(), open(), open()])
    expect(store.maxOpen).toBe(9)
  })

  it('is not kept waiting by a larger one of the same store', async () => {
    const large = smallMembers(2000, { concurrency: 16 })
    const archives = newArchives()
    large.onRead = () => delay(2)
    const reading = openArchive(large, 'tar', { archives }).then(readAll)
    await expect.poll(() => large.opened, { interval: 1 }).toBeGreaterThan(100)
    const small = smallMembers(12, { concurrency: 16 })
    small.onRead = () => delay(2)
    await readAll(await openArchive(small, 'tar', { archives }))
    expect(large.opened).toBeLessThan(1000)
    await reading
  })

  it('is not kept waiting by a store that hangs', async () => {
    const hanging = smallMembers(100)
    hanging.onRead = (_path, _position, signal) =>
      new Promise(resolve => signal?.addEventListener('abort', () => resolve()))
    const archives = newArchives()
    const stuck = await openArchive(hanging, 'tar', { archives, connection: 'hanging' })
    const reading = collect(stuck.read(0, stuck.size!))
    await expect.poll(() => hanging.opened).toBe(48)
    const other = await openArchive(smallMembers(100), 'tar', { archives, connection: 'other' })
    expect((await readAll(other)).length).toBe(other.size)
    await stuck.close()
    await expect(reading).rejects.toSatisfy(error => isAppError(error, 'Aborted'))
  })
})

/** Small and large members, and the checksums that the store keeps of them. */
class Checked {
  readonly store = new SyntheticStore(NETWORK)
  readonly crcs = new Map<ArtifactPath, number>()
  readonly archives: Archives = newArchives()

  constructor() {
    for (let i = 0; i < 300; i++) this.#add(`a/${i}`, 2000, i)
    this.#add('large', LARGE, 7)
    this.#add('larger', LARGE + 1, 8)
    this.#add('z', 100, 9)
    this.store.storedCrc32 = path => Promise.resolve(this.crcs.get(path))
  }

  #add(path: string, size: number, seed: number): void {
    const content = Buffer.alloc(size)
    pattern(seed)(content, 0)
    this.store.file(path, content)
    this.crcs.set(path as ArtifactPath, crc32(content))
  }

  /** The bytes from `start` on, as a process sees them that has sent nothing of this archive, or one that has: `archives`. */
  async from(start: (size: number) => number, archives = newArchives()): Promise<Buffer> {
    const archive = await openArchive(this.store, 'zip', { archives })
    try {
      return await collect(archive.read(start(archive.size!), archive.size!))
    } finally {
      await archive.close()
    }
  }
}

const beforeTheEnd =
  (bytes: number) =>
  (size: number): number =>
    size - bytes

describe('a zip of a store that keeps checksums', () => {
  it.each([
    ['in its middle', LARGE + LARGE / 2],
    ['in its last large member', LARGE / 2],
    ['in its directory', 10_000],
  ])('reads no content from before the place %s where it is resumed elsewhere', async (_where, rest) => {
    const checked = new Checked()
    const whole = await checked.from(() => 0)
    const { store } = checked
    store.bytesRead = 0
    const resumed = await checked.from(beforeTheEnd(rest))
    expect(resumed.equals(whole.subarray(whole.length - rest))).toBe(true)
    // The small member that the range begins in is loaded whole.
    expect(store.bytesRead).toBeLessThanOrEqual(rest)
    expect(store.checksumsAsked).toBeGreaterThan(0)
  })

  it('asks for none when the whole goes by', async () => {
    const checked = new Checked()
    await checked.from(() => 0)
    expect(checked.store.checksumsAsked).toBe(0)
  })

  it('asks once for all that are resumed in one process', async () => {
    const checked = new Checked()
    const archives = newArchives()
    await checked.from(beforeTheEnd(10_000), archives)
    const { checksumsAsked } = checked.store
    await checked.from(beforeTheEnd(9000), archives)
    expect(checked.store.checksumsAsked).toBe(checksumsAsked)
  })

  it.each(['a/0', 'a/299', 'large'])(
    'breaks a whole transfer in which %s has another checksum than the store keeps and others were sent',
    async member => {
      const checked = new Checked()
      checked.crcs.set(member as ArtifactPath, 4711)
      const archives = newArchives()
      // Everything but the members themselves: each is asked for its checksum.
      await checked.from(beforeTheEnd(40_000), archives)
      for (let i = 0; i < 2; i++)
        await expect(checked.from(() => 0, archives)).rejects.toSatisfy(
          error => isAppError(error, 'Unavailable') && error.message.includes(`'${member}'`),
        )
    },
  )

  it.each(['a/5', 'large'])(
    'breaks when %s is another one by the time its checksum is asked for',
    async member => {
      const checked = new Checked()
      const { store } = checked
      const archive = await openArchive(store, 'zip')
      store.file(member, 'another content')
      await expect(collect(archive.read(archive.size! - 40_000, archive.size!))).rejects.toSatisfy(error =>
        isAppError(error, 'Changed'),
      )
      expect(store.opened).toBe(store.closed)
    },
  )

  it('does not take the checksum of another content from a store that ignores what is asked for', async () => {
    const checked = new Checked()
    const { store } = checked
    const archive = await openArchive(store, 'zip')
    store.file('large', 'another content')
    const open = store.open.bind(store)
    store.open = path => open(path)
    await expect(collect(archive.read(archive.size! - 40_000, archive.size!))).rejects.toSatisfy(error =>
      isAppError(error, 'Changed'),
    )
  })

  it('breaks when the store fails while it is asked', async () => {
    const checked = new Checked()
    checked.store.storedCrc32 = path =>
      path === 'a/100'
        ? Promise.reject(new AppError('Unavailable', 'The store is away.'))
        : Promise.resolve(checked.crcs.get(path))
    await expect(checked.from(beforeTheEnd(40_000))).rejects.toSatisfy(error =>
      isAppError(error, 'Unavailable'),
    )
    expect(checked.store.opened).toBe(checked.store.closed)
  })

  it('stops asking when it is not wanted any more', async () => {
    const checked = new Checked()
    checked.store.storedCrc32 = (_path, signal) =>
      new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(new AppError('Aborted', 'Not wanted any more.'))),
      )
    const archive = await openArchive(checked.store, 'zip')
    const reading = collect(archive.read(archive.size! - 10_000, archive.size!))
    await expect.poll(() => checked.store.checksumsAsked).toBe(48)
    await archive.close()
    await expect(reading).rejects.toSatisfy(error => isAppError(error, 'Aborted'))
    expect(checked.store.opened).toBe(checked.store.closed)
  })
})

describe('a zip of a store that keeps checksums of some members only', () => {
  it('reads the others, and does not go on asking for small ones', async () => {
    const checked = new Checked()
    const whole = await checked.from(() => 0)
    for (const path of checked.crcs.keys()) if (path !== 'larger') checked.crcs.delete(path)
    const { store } = checked
    store.bytesRead = 0
    const resumed = await checked.from(beforeTheEnd(40_000))
    expect(resumed.equals(whole.subarray(whole.length - 40_000))).toBe(true)
    expect(store.bytesRead).toBeGreaterThan(LARGE)
    expect(store.bytesRead).toBeLessThan(2 * LARGE)
    // Those under way when the first one turned out to have none, and the large ones.
    expect(store.checksumsAsked).toBeLessThanOrEqual(48 + 2)
  })
})

const minio = s3Server('minio')
const moto = s3Server('moto')

describe.skipIf(minio === undefined)('a zip on MinIO (needs TEST_MINIO)', () => {
  it('is resumed in its directory by another process without the content passing through it again', async () => {
    const bucket = await makeBucket(minio!)
    const traffic = await CountingProxy.before(minio!.endpoint)
    onTestFinished(async () => {
      await traffic.close()
      await bucket.close()
    })
    const content = Buffer.alloc(LARGE)
    for (let i = 0; i < 3; i++) {
      pattern(i)(content, 0)
      await bucket.put(`large/${i}`, content)
      await bucket.put(`small/${i}`, content.subarray(0, 100_000))
    }
    const definition = s3Definition({ ...minio!, endpoint: traffic.endpoint }, bucket.name)
    const store = openObjectStore(definition, s3Objects(definition))
    const whole = await readAll(await openArchive(store, 'zip'))
    const received = traffic.received
    const archive = await openArchive(store, 'zip')
    const tail = await collect(archive.read(whole.length - 300, whole.length))
    expect(tail.equals(whole.subarray(-300))).toBe(true)
    expect(traffic.received - received).toBeLessThan(50_000)
    await archive.close()
    await store.close()
  })
})

describe.skipIf(moto === undefined)(
  'an object that has the name of a folder, on Moto (needs TEST_MOTO)',
  () => {
    describeClient('unzip', findProgram('unzip'), unzip => {
      it('is unpacked beside the folder, and nothing of either is lost', async () => {
        const bucket = await makeBucket(moto!)
        const folder = mkdtempSync(join(tmpdir(), 'archive-names-'))
        onTestFinished(async () => {
          rmSync(folder, { recursive: true })
          await bucket.close()
        })
        for (const key of ['a', 'a/b', 'a/b/c', 'a.txt']) await bucket.put(key, Buffer.from(key))
        const definition = s3Definition(moto!, bucket.name)
        const store = openObjectStore(definition, s3Objects(definition))
        const file = join(folder, 'archive.zip')
        writeFileSync(file, await readAll(await openArchive(store, 'zip')))
        await store.close()
        const { code, stderr } = await run(unzip, ['-q', file, '-d', join(folder, 'out')])
        expect(code, stderr).toBe(0)
        const unpacked = ['a~file', 'a/b~file', 'a/b/c', 'a.txt'].map(name =>
          readFileSync(join(folder, 'out', name), 'utf8'),
        )
        expect(unpacked).toEqual(['a', 'a/b', 'a/b/c', 'a.txt'])
      })
    })
  },
)
