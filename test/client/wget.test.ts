// wget follows every link of a listing, so what it makes on disk shows whether the links are the store's tree and nothing else.
import { cp, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import {
  SAMPLE_EXPERIMENT,
  SAMPLE_GROUPED_EXPERIMENT,
  SAMPLE_JOB,
  SAMPLE_MODEL,
  SAMPLE_RUN,
} from '../../src/sample/contents.ts'
import { hostileFiles } from './hostile-files.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { JOB, serveJob, serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { filesOf, placedBelow, sha256Of, treeOf } from './trees.ts'
import type { Tree } from './trees.ts'

/** `nocontrol`, because wget otherwise takes bytes of UTF-8 for control characters of Latin-1. */
const MIRROR = ['--recursive', '--level=inf', '--no-parent', '--no-host-directories'].concat([
  '--restrict-file-names=nocontrol',
  '--no-config',
  '--no-verbose',
  '--tries=1',
])

/** wget decodes a name twice, and cuts one that could become too long for the file system. */
function wgetCanKeep(name: string): boolean {
  return !/%[0-9a-f]{2}/i.test(name) && Buffer.byteLength(name) < 200
}

describeClient('wget', findProgram('wget'), wget => {
  let outputs: ServedOutputs

  beforeAll(async () => {
    outputs = await serveSample()
    return outputs.close
  })

  it('-r -np of a run makes its tree, and asks for no folder in a second order and for nothing above the run', async () => {
    const { code, tree } = await mirror(outputs, `${SAMPLE_EXPERIMENT}/`)

    expect(code).toBe(0)
    const stored = await treeOf(join(outputs.root, SAMPLE_EXPERIMENT))
    expect(tree).toEqual(placedBelow(`outputs/${SAMPLE_EXPERIMENT}`, stored))
  })

  it('-r -np of a folder that has a slash missing stays in that folder', async () => {
    const { tree } = await mirror(outputs, `${SAMPLE_EXPERIMENT}/notes`)

    const stored = await treeOf(join(outputs.root, SAMPLE_EXPERIMENT, 'notes'))
    expect(filesOf(tree)).toEqual(filesOf(placedBelow(`outputs/${SAMPLE_EXPERIMENT}/notes`, stored)))
  })

  it('-r -np of /outputs/ makes the tree of all runs, each below its kind', async () => {
    const { code, tree } = await mirror(outputs, '')

    const places = {
      [SAMPLE_EXPERIMENT]: SAMPLE_EXPERIMENT,
      'demo/quick-start/experiments/7': SAMPLE_GROUPED_EXPERIMENT,
      [SAMPLE_GROUPED_EXPERIMENT]: SAMPLE_GROUPED_EXPERIMENT,
      [SAMPLE_JOB]: SAMPLE_JOB,
      [`demo/quick-start/runs/${SAMPLE_RUN}`]: SAMPLE_RUN,
    }
    const expected = await Promise.all(
      Object.entries(places).map(async ([url, path]) =>
        placedBelow(`outputs/${url}`, await treeOf(join(outputs.root, path))),
      ),
    )
    expect(code).toBe(0)
    expect(tree).toEqual(new Map(expected.flatMap(run => [...run])))
  })

  it('-r -np keeps hostile names and their contents', async () => {
    const hostile = await serveJob(hostileFiles(wgetCanKeep))
    try {
      const { code, tree } = await mirror(hostile, `${JOB}/`)

      expect(code).toBe(0)
      expect(tree).toEqual(placedBelow(`outputs/${JOB}`, await treeOf(join(hostile.root, JOB))))
    } finally {
      await hostile.close()
    }
  })

  it.each([
    { what: 'a file', path: SAMPLE_MODEL },
    { what: 'a zip', path: '?archive=zip' },
    { what: 'a tar', path: '?archive=tar' },
  ])('-c completes $what', async ({ path }) => {
    const folder = await outputs.makeFolder()
    const url = `${outputs.service.url}/outputs/${SAMPLE_EXPERIMENT}/${path}`
    const download = (...args: string[]): ReturnType<typeof run> =>
      run(wget, ['--no-config', '--quiet', '--tries=1', ...args, url], { cwd: folder })
    expect((await download('-O', 'whole')).code).toBe(0)
    await cp(join(folder, 'whole'), join(folder, 'partial'))
    await truncate(join(folder, 'partial'), 12_345)

    const { code } = await download('-c', '-O', 'partial')

    expect(code).toBe(0)
    expect(await sha256Of(join(folder, 'partial'))).toBe(await sha256Of(join(folder, 'whole')))
  })

  /** Mirrors a folder below /outputs/. The listings that wget saves as index.html are left out of the tree. */
  async function mirror(
    { service, makeFolder }: ServedOutputs,
    path: string,
  ): Promise<{ code: number | null; tree: Tree }> {
    const folder = await makeFolder()
    const { code } = await run(wget, [...MIRROR, `${service.url}/outputs/${path}`], { cwd: folder })
    const files = [...(await treeOf(folder))].filter(([path]) => !/(^|\/)index\.html$/.test(path))
    return { code, tree: new Map(files) }
  }
})
