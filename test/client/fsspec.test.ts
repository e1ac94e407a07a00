// fsspec's HTTP file system, through which pandas, dask and zarr read: it takes every link of a page for an entry.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { findPythonWithFsspec } from './fsspec-python.ts'
import { hostileFiles } from './hostile-files.ts'
import { describeClient } from './programs.ts'
import { run } from './run.ts'
import { JOB, serveJob, serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { filesOf, treeOf } from './trees.ts'
import type { Tree } from './trees.ts'

/** What python/fsspec_reader.py prints: paths relative to the run, folders with a slash where fsspec shows them as such. */
interface Findings {
  readonly types: Readonly<Record<string, 'file' | 'directory'>>
  readonly csv: readonly string[]
  /** By folder: the names of the folders and of the files in it. */
  readonly walked: Readonly<Record<string, readonly [folders: readonly string[], files: readonly string[]]>>
  /** SHA-256 of every file but the large one. */
  readonly contents: Readonly<Record<string, string>>
  readonly large: {
    readonly size: number
    readonly streamed: string
    /** Offsets and the bytes there, in hexadecimal. */
    readonly pieces: readonly (readonly [number, string])[]
    readonly ranges: readonly string[]
  }
}

const SCRIPT = fileURLToPath(new URL('python/fsspec_reader.py', import.meta.url))

describeClient('fsspec', await findPythonWithFsspec(), python => {
  async function read(outputs: ServedOutputs, path: string, large: string): Promise<Findings> {
    const url = `${outputs.service.url}/outputs/${path}/`
    const { code, stdout, stderr } = await run(python, [SCRIPT, url, large])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return JSON.parse(stdout.toString()) as Findings
  }

  describe('on a run of the sample', () => {
    let stored: Tree
    let model: Buffer
    let findings: Findings

    beforeAll(async () => {
      const outputs = await serveSample()
      const folder = join(outputs.root, SAMPLE_EXPERIMENT)
      stored = await treeOf(folder)
      model = await readFile(join(folder, SAMPLE_MODEL))
      findings = await read(outputs, SAMPLE_EXPERIMENT, SAMPLE_MODEL)
      return outputs.close
    })

    it('ls gives the entries of the folder and tells files from folders', () => {
      const top = [...stored.keys()].filter(path => /^[^/]*\/?$/.test(path))
      const types = top.map(path => [path, path.endsWith('/') ? 'directory' : 'file'])
      expect(findings.types).toEqual(Object.fromEntries(types))
    })

    it('glob finds the files of a pattern', () => {
      expect(findings.csv).toEqual([...stored.keys()].filter(path => path.endsWith('.csv')))
    })

    it('walk visits every folder once and names what is in it', () => {
      const walked = Object.entries(findings.walked).flatMap(([folder, [folders, files]]) => {
        const above = folder === '' ? '' : `${folder}/`
        return [...folders.map(name => `${above}${name}/`), ...files.map(name => above + name)]
      })
      expect(walked.sort()).toEqual([...stored.keys()].sort())
    })

    it('cat gives the bytes of every file', () => {
      expect(
        new Map([...Object.entries(findings.contents), [SAMPLE_MODEL, findings.large.streamed]]),
      ).toEqual(filesOf(stored))
    })

    it('open reads through a block cache wherever it seeks to', () => {
      const { size, pieces } = findings.large
      expect(size).toBe(model.length)
      expect(pieces).toHaveLength(4)
      for (const [offset, bytes] of pieces)
        expect(bytes).toBe(model.subarray(offset, offset + 64).toString('hex'))
    })

    it('cat_ranges gives the ranges asked for', () => {
      const slices = [
        model.subarray(0, 10),
        model.subarray(100, 200),
        model.subarray(5 << 20, (5 << 20) + 50),
      ]
      expect(findings.large.ranges).toEqual(slices.map(slice => slice.toString('hex')))
    })
  })

  it('keeps hostile names and their contents', async () => {
    const hostile = await serveJob(new Map([...hostileFiles(fsspecCanKeep), [LARGE, 'x'.repeat(6 << 20)]]))
    try {
      const { contents } = await read(hostile, JOB, LARGE)

      const stored = filesOf(await treeOf(join(hostile.root, JOB)))
      expect(new Map(Object.entries(contents))).toEqual(
        new Map([...stored].filter(([path]) => path !== LARGE)),
      )
    } finally {
      await hostile.close()
    }
  })
})

const LARGE = 'large.bin'

/** The HTTP client of fsspec decodes `%3F` when it is redirected. */
function fsspecCanKeep(name: string): boolean {
  return !name.includes('?')
}
