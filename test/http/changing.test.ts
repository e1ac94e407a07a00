// Outputs that change between the plan and the first byte: made anew for the client, and refused honestly when they never come to rest.
import { afterEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { changesOf } from '../support/changes.ts'

let service: Service
afterEach(() => service.close())

/** A store whose next `times` opens of a file find another one than was asked for. */
async function serveChanging(times: number): Promise<string> {
  const memory = new MemoryStore()
  memory.write(parsePath('ann/mnist/jobs/1/file.txt'), Buffer.from('content'))
  let left = times
  const changing = (store: ArtifactStore): ArtifactStore => ({
    ...changesOf(store),
    capabilities: store.capabilities,
    stat: (path, options) => store.stat(path, options),
    list: (path, options) => store.list(path, options),
    open: async (path, options) => {
      if (left-- > 0) throw new AppError('Changed', 'The file is another one now.', { op: 'open' })
      return store.open(path, options)
    },
    scoped: folder => changing(store.scoped(folder)),
    close: () => store.close(),
  })
  service = await startService('/nowhere', {}, changing(memory))
  return `${service.url}/outputs/ann/mnist/jobs/1/`
}

describe.each(['file.txt', '?archive=zip', '?archive=tar'])('%s', path => {
  it('is opened again when it changed before its first byte', async () => {
    const answer = await ask((await serveChanging(2)) + path)
    expect([answer.status, answer.complete]).toEqual([200, true])
    expect(answer.text).toContain('content')
  })

  it('is 503 when it keeps changing, not a failed precondition that nobody asked for', async () => {
    const answer = await ask((await serveChanging(Infinity)) + path)
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(json(answer)).toMatchObject({ type: 'urn:polyaxon-outputs:problem:unavailable', temporary: true })
  })
})
