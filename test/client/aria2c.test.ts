// aria2c fetches one download over many connections, each a range of its own.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { sha256Of, sha256OfAll } from './trees.ts'

const OUTPUTS = `/outputs/${SAMPLE_EXPERIMENT}`
const CONNECTIONS = 8

describeClient('aria2c', findProgram('aria2c'), aria2c => {
  let outputs: ServedOutputs

  beforeAll(async () => {
    outputs = await serveSample()
    return outputs.close
  })

  it.each([
    { what: 'the model file', path: `${OUTPUTS}/${SAMPLE_MODEL}` },
    { what: 'a zip', path: `${OUTPUTS}/?archive=zip` },
    { what: 'a tar', path: `${OUTPUTS}/?archive=tar` },
  ])('gets $what in ranges over several connections, byte for byte', async ({ path }) => {
    const folder = await outputs.makeFolder()
    const whole = await sha256OfAll((await fetch(outputs.service.url + path)).body!)
    const log = join(folder, 'log')

    const { code } = await run(
      aria2c,
      [
        ...['--no-conf', '--quiet', '--no-netrc', '--file-allocation=none', '--disable-ipv6'],
        ...['--max-tries=1', `--log=${log}`, '--log-level=info'],
        ...[`-x${CONNECTIONS}`, `-s${CONNECTIONS}`, '--min-split-size=1M', '--out=download'],
        outputs.service.url + path,
      ],
      { cwd: folder },
    )

    expect(code).toBe(0)
    expect(await sha256Of(join(folder, 'download'))).toBe(whole)
    const answers = (await readFile(log, 'utf8')).match(/^HTTP\/1\.1 206 /gm) ?? []
    // How many it opens before a fast download is over is a matter of time.
    expect(answers.length).toBeGreaterThan(1)
  })
})
