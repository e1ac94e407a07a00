// Python's standard library: ranges and resumed downloads by urllib and http.client.
import { randomInt } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { sha256Of } from './trees.ts'

const SCRIPT = fileURLToPath(new URL('python/resume_download.py', import.meta.url))

describeClient('python3', findProgram('python3'), python => {
  let outputs: ServedOutputs

  beforeAll(async () => {
    outputs = await serveSample()
    return outputs.close
  })

  it.each([
    { what: 'a file', path: SAMPLE_MODEL },
    { what: 'a zip', path: '?archive=zip' },
    { what: 'a tar', path: '?archive=tar' },
  ])('breaks off, resumes with If-Range and reads several ranges of $what', async ({ what, path }) => {
    const url = `${outputs.service.url}/outputs/${SAMPLE_EXPERIMENT}/${path}`
    const copy = join(await outputs.makeFolder(), what)
    const size = await download(url, copy)
    const cut = randomInt(1, size)

    const { code, stdout, stderr } = await run(python, [SCRIPT, url, String(cut)])

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const sha256 = await sha256Of(copy)
    expect(JSON.parse(stdout.toString()), `resumed at byte ${cut} of ${size}`).toEqual({
      size,
      whole: sha256,
      answer: [206, `bytes ${cut}-${size - 1}/${size}`, true],
      resumed: sha256,
      restarted: [200, sha256],
      parts: [
        [`bytes 0-9/${size}`, await hexAt(copy, 0, 10)],
        [`bytes 500-519/${size}`, await hexAt(copy, 500, 20)],
      ],
    })
  })
})

/** Resolves with the number of bytes. */
async function download(url: string, to: string): Promise<number> {
  await using file = await open(to, 'w')
  const { body } = await fetch(url)
  await file.writeFile(body!)
  return (await file.stat()).size
}

async function hexAt(path: string, position: number, length: number): Promise<string> {
  await using file = await open(path)
  const { buffer } = await file.read({ buffer: Buffer.alloc(length), position })
  return buffer.toString('hex')
}
