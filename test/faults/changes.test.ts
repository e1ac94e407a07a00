// What happens to a file while it is downloaded: whatever the client keeps must be one content, whole, or visibly broken.
import { appendFileSync, closeSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { describeClient, findProgram } from '../client/programs.ts'
import { MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { holdDownload } from './curl.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

/** Larger than all buffers between the service and a client that does not read. */
const LARGE = 20 * MiB
/** CURLE_PARTIAL_FILE and CURLE_RECV_ERROR. */
const BROKEN = [18, 56]

const folder = new OutputsFolder()
let service: ServiceProcess

beforeAll(async () => {
  service = await startProcess(folder.root)
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
})

/** `a` comes first in every archive and fills it up to where a reader that waits lets it go. */
beforeEach(() => {
  rmSync(folder.at('set'), { recursive: true, force: true })
  folder.writeRandom('set/a.bin', LARGE)
  folder.writeRandom('set/b.bin', MiB)
  folder.write('set/c.txt', 'small')
})

/** Other bytes, as many as before, in the same file. */
function rewrite(path: string): void {
  const descriptor = openSync(path, 'r+')
  writeSync(descriptor, 'other')
  closeSync(descriptor)
}

const ARCHIVES = [
  'archive=zip',
  'archive=tar',
  'archive=tar.gz',
  'archive=tar.zst',
  'archive=zip&compress=true',
]

const CHANGES: { what: string; path: string; make: (path: string) => void }[] = [
  { what: 'the member under way is truncated', path: 'set/a.bin', make: path => truncateSync(path, 1000) },
  { what: 'a later member is truncated', path: 'set/b.bin', make: path => truncateSync(path, 1000) },
  { what: 'a later member is rewritten with the same size', path: 'set/b.bin', make: rewrite },
  { what: 'a later member grows', path: 'set/b.bin', make: path => appendFileSync(path, 'more') },
  { what: 'a later small member is rewritten with the same size', path: 'set/c.txt', make: rewrite },
  { what: 'a later member is removed', path: 'set/b.bin', make: path => rmSync(path) },
]

describeClient('curl', findProgram('curl'), () => {
  it('fails when the file it downloads is truncated', async () => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/a.bin`)
    truncateSync(folder.at('set/a.bin'), 1000)
    const { code, bytes } = await download.finish()
    expect(BROKEN).toContain(code)
    expect(bytes).toBeLessThan(LARGE)
  })

  it('fails when the file it downloads is rewritten with the same size', async () => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/a.bin`)
    rewrite(folder.at('set/a.bin'))
    const { code, bytes } = await download.finish()
    expect(BROKEN).toContain(code)
    expect(bytes).toBeLessThan(LARGE)
  })

  it('fails when the file it downloads is written anew with more', async () => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/a.bin`)
    writeFileSync(folder.at('set/a.bin'), Buffer.alloc(LARGE + 1000, 'z'))
    const { code, bytes } = await download.finish()
    expect(BROKEN).toContain(code)
    expect(bytes).toBeLessThan(LARGE)
  })

  it('fails when the file is truncated while one of several ranges is sent', async () => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/a.bin`, '-r', `0-${LARGE - 10},-5`)
    truncateSync(folder.at('set/a.bin'), 1000)
    expect(BROKEN).toContain((await download.finish()).code)
  })

  it('gets a log that grows up to its length at the start', async () => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/a.bin`)
    appendFileSync(folder.at('set/a.bin'), Buffer.alloc(MiB, 'x'))
    expect(await download.finish()).toEqual({ code: 0, bytes: LARGE })
  })

  it('gets a file whole that is removed or replaced by another while it is downloaded', async () => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/a.bin`)
    rmSync(folder.at('set/a.bin'))
    folder.write('set/a.bin', 'another')
    expect(await download.finish()).toEqual({ code: 0, bytes: LARGE })
  })

  it.each(ARCHIVES)('gets ?%s whole when nothing changes', async archive => {
    const download = await holdDownload(`${service.url}${RUN_URL}set/?${archive}`)
    const { code, bytes } = await download.finish()
    expect(code).toBe(0)
    expect(bytes).toBeGreaterThan(LARGE)
  })

  for (const archive of ARCHIVES)
    it.each(CHANGES)(`fails on ?${archive} when $what`, async ({ path, make }) => {
      const download = await holdDownload(`${service.url}${RUN_URL}set/?${archive}`)
      make(folder.at(path))
      expect(BROKEN).toContain((await download.finish()).code)
    })

  it.each(['archive=tar.gz', 'archive=tar.zst', 'archive=zip&compress=true'])(
    'sees with HTTP/1.0, where the end of a body is the end of the connection, that ?%s broke',
    async archive => {
      const download = await holdDownload(`${service.url}${RUN_URL}set/?${archive}`, '--http1.0')
      truncateSync(folder.at('set/b.bin'), 1000)
      expect(BROKEN).toContain((await download.finish()).code)
    },
  )
})

it.each(['archive=tar.gz', 'archive=tar.zst', 'archive=zip&compress=true'])(
  'resets the connection of an HTTP/1.0 client when a member of ?%s changes',
  async archive => {
    const client = await Connection.get(service.port, `${RUN_URL}set/?${archive}`, '1.0')
    expect((await client.head()).status).toBe(200)
    rewrite(folder.at('set/b.bin'))
    expect((await client.drain()).ending).toBe('reset')
  },
)

it('ends the connection of an HTTP/1.0 client in order when the archive is whole', async () => {
  const client = await Connection.get(service.port, `${RUN_URL}set/?archive=tar.gz`, '1.0')
  expect((await client.drain()).ending).toBe('end')
})

it('breaks the transfer of a slow reader when the file is truncated long after the start', async () => {
  const client = await Connection.get(service.port, `${RUN_URL}set/a.bin`)
  expect((await client.head()).status).toBe(200)
  for (let i = 0; i < 20; i++) {
    await client.skip(64 * 1024)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  truncateSync(folder.at('set/a.bin'), 2 * MiB)
  const { bytes, ending } = await client.drain()
  expect(ending).toBe('reset')
  expect(bytes).toBeLessThan(LARGE)
})
