// Where a run is found whose kind has several places, in object stores that hold an object beside it.
import { describe, expect, it } from 'vitest'
import { listLevel } from '../../src/runs/levels.ts'
import { Runs } from '../../src/runs/runs.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { at, listAll } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'

const LAYOUTS = {
  experiments: ['{owner}/{project}/experiments/{id}', '{owner}/{project}/groups/*/{id}'],
  jobs: [],
  builds: [],
  groups: [],
  runs: [],
}
const EXPERIMENT = { owner: 'ann', project: 'mnist', kind: 'experiments', id: '7' } as const

function runsOf(...keys: string[]) {
  const bucket = new MemoryBucket()
  for (const key of keys) bucket.store(key, key)
  return { bucket, runs: new Runs(openObjectStore(bucketDefinition(), bucket.connect), LAYOUTS, 'bucket') }
}

describe('a grouped experiment', () => {
  it('is found although an object has the name of its folder', async () => {
    const { runs } = runsOf('ann/mnist/groups/3/7', 'ann/mnist/groups/3/7/loss.csv')
    const { store } = await runs.resolve(EXPERIMENT)
    expect(await store.stat(at(''))).toMatchObject({ path: '', type: 'directory' })
    expect((await listAll(store, '')).map(entry => entry.path)).toEqual(['loss.csv'])
  })

  it('is not an object of that name', async () => {
    const { runs } = runsOf('ann/mnist/groups/3/7', 'ann/mnist/groups/3/70/loss.csv')
    await expect(runs.resolve(EXPERIMENT)).rejects.toMatchObject({ kind: 'NotFound' })
  })

  it('is looked for with one request for a place that has it', async () => {
    const { bucket, runs } = runsOf('ann/mnist/experiments/7/loss.csv')
    await runs.resolve(EXPERIMENT)
    expect(bucket.counts).toMatchObject({ list: 1, head: 0 })
  })
})

describe('the folder of the service itself', () => {
  const key = '.polyaxon-outputs-uploads/5/7/x'
  const own = { owner: '.polyaxon-outputs-uploads', project: '5', kind: 'jobs', id: '7' } as const

  it.each(['{owner}/{project}/{id}', '*/*/{id}', '.polyaxon-outputs-uploads/{project}/{id}'])(
    'belongs to no run by %s, and is listed at no level',
    async template => {
      const bucket = new MemoryBucket()
      bucket.store(key, key)
      const store = openObjectStore(bucketDefinition(), bucket.connect)
      const runs = new Runs(store, { ...LAYOUTS, experiments: [], jobs: [template] }, 'bucket')
      await expect(runs.resolve(own)).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(runs.resolveOrPlace(own)).rejects.toMatchObject({ kind: 'NotFound' })
      for (const level of [{ owner: own.owner }, { owner: own.owner, project: '5', kind: 'jobs' } as const])
        await expect(listLevel(runs, level).next()).rejects.toMatchObject({ kind: 'NotFound' })
      expect((await listLevel(runs, {}).next()).done).toBe(true)
    },
  )
})
