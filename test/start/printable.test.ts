// What the program prints of names and values that others chose: each stays within its line.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it } from 'vitest'
import { endAll, launch, printedUrl, temporaryFolder } from './launch.ts'

const work = temporaryFolder()
afterEach(endAll)
afterAll(() => work.remove())

const FORGED = 'x\nat http://forged.example/outputs/ \x1b[2J\u202e'
const SHOWN = String.raw`x\u{a}at http://forged.example/outputs/ \u{1b}[2J\u{202e}`

it('shows the folder that it serves in one line', async () => {
  const path = join(work.path, FORGED.replaceAll('/', '_'))
  mkdirSync(path)
  const service = launch({ cwd: work.path, env: { OUTPUTS_PATH: path } })
  expect(await printedUrl(service)).not.toContain('forged')
  expect(service.stdout()).toContain(SHOWN.replaceAll('/', '_'))
  expect(service.stdout()).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u)
})

it('names a setting that is wrong in one line', async () => {
  const service = launch({ cwd: work.path, env: { BASE_PATH: FORGED } })
  expect((await service.ended).code).toBe(78)
  expect(service.stderr()).not.toMatch(/^at http/m)
  expect(service.stderr()).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u)
})
