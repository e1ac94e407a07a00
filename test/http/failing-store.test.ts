// What clients are told of a store that fails: in their own words, not in those of its layout.
import { afterEach, expect, it } from 'vitest'
import { storeError } from '../../src/store/failure.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore } from './scripted-store.ts'

let service: Service
afterEach(() => service.close())

async function problemAt(target: string): Promise<object> {
  service = await startService(
    '',
    { layouts: { experiments: ['inner/{owner}/{project}/{id}', 'other/{owner}/{project}/{id}'] } },
    scriptedStore({
      stat: path => Promise.reject(storeError('PermissionDenied', 'stat', path)),
      list: async function* (path) {
        throw storeError('PermissionDenied', 'list', path)
      },
    }),
  )
  const answer = await ask(service.url + target)
  expect(answer.status).toBe(403)
  expect(answer.text).not.toContain('inner')
  return json(answer) as object
}

it('names the artifact that was asked for when looking for its run failed', async () => {
  expect(await problemAt('/outputs/ann/mnist/experiments/1/model/x.bin')).toMatchObject({
    path: 'model/x.bin',
    detail: expect.stringContaining("to read 'model/x.bin'") as string,
  })
})

it('names no path for the folder of a run or a level above it', async () => {
  expect(await problemAt('/outputs/ann/mnist/experiments/1/?format=json')).not.toHaveProperty('path')
  await service.close()
  expect(await problemAt('/outputs/ann/?format=json')).not.toHaveProperty('path')
})
