// rclone's http remote reads listings as pages of links, and asks each file for its size and time.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT } from '../../src/sample/contents.ts'
import { hostileFiles } from './hostile-files.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import type { Finished } from './run.ts'
import { JOB, serveJob, serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { treeOf } from './trees.ts'

describeClient('rclone', findProgram('rclone'), rclone => {
  let sample: ServedOutputs

  beforeAll(async () => {
    sample = await serveSample()
    return sample.close
  })

  const onRun = ({ service }: ServedOutputs, path: string, ...args: string[]): Promise<Finished> =>
    run(rclone, [
      ...args,
      ...['--http-url', `${service.url}/outputs/${path}/`, '--retries=1', '--low-level-retries=1', '-q'],
    ])

  it('copy of a run makes its tree, with the times of its files', async () => {
    const folder = await sample.makeFolder()

    const { code, stderr } = await onRun(
      sample,
      SAMPLE_EXPERIMENT,
      ...['copy', '--create-empty-src-dirs', ':http:', folder],
    )

    const stored = join(sample.root, SAMPLE_EXPERIMENT)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await treeOf(folder)).toEqual(await treeOf(stored))
    expect((await stat(join(folder, 'metrics.csv'))).mtimeMs).toBe(
      (await stat(join(stored, 'metrics.csv'))).mtimeMs,
    )
  })

  it('check finds no difference between the store and the service', async () => {
    const { code, stderr } = await onRun(
      sample,
      SAMPLE_EXPERIMENT,
      ...['check', '--download', join(sample.root, SAMPLE_EXPERIMENT), ':http:'],
    )

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  it('copy keeps hostile names and their contents', async () => {
    const hostile = await serveJob(hostileFiles())
    try {
      const folder = await hostile.makeFolder()

      const { code, stderr } = await onRun(
        hostile,
        JOB,
        ...['copy', '--create-empty-src-dirs', '--no-unicode-normalization', ':http:', folder],
      )

      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(await treeOf(folder)).toEqual(await treeOf(join(hostile.root, JOB)))
    } finally {
      await hostile.close()
    }
  })

  it('lsf -R names every file and folder of a run', async () => {
    const { code, stdout } = await onRun(sample, SAMPLE_EXPERIMENT, 'lsf', '--recursive', ':http:')

    const stored = await treeOf(join(sample.root, SAMPLE_EXPERIMENT))
    expect(code).toBe(0)
    expect(stdout.toString().trimEnd().split('\n').sort()).toEqual([...stored.keys()].sort())
  })

  it('copy gets all of a folder that is longer than a page', async () => {
    const names = Array.from({ length: 2500 }, (_, i) => `many/step-${String(i).padStart(4, '0')}.json`)
    const many = await serveJob(new Map(names.map(name => [name, name])))
    try {
      const folder = await many.makeFolder()

      const { code } = await onRun(many, JOB, 'copy', '--transfers=8', ':http:', folder)

      expect(code).toBe(0)
      expect(await treeOf(folder)).toEqual(await treeOf(join(many.root, JOB)))
    } finally {
      await many.close()
    }
  })
})
