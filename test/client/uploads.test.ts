// What people and jobs upload with: curl -T, Python's standard library, requests.
import { randomBytes } from 'node:crypto'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { JOB, serveJob, type ServedOutputs } from './served-outputs.ts'
import { sha256Of } from './trees.ts'

const SCRIPT = fileURLToPath(new URL('python/upload.py', import.meta.url))
const SIZE = 5_000_000

let outputs: ServedOutputs
let file: string
const url = (path: string): string => `${outputs.service.url}/outputs/${JOB}/${path}`
const stored = (path: string): string => join(outputs.root, JOB, path)

beforeAll(async () => {
  outputs = await serveJob(new Map([['there.txt', 'before']]))
  file = join(await outputs.makeFolder(), 'file.bin')
  await writeFile(file, randomBytes(SIZE))
  return outputs.close
})

describeClient('curl', findProgram('curl'), curl => {
  const upload = (...args: string[]): ReturnType<typeof run> =>
    run(curl, ['--silent', '--show-error', '--write-out', '%{http_code} %{size_upload}', ...args])

  it.each([
    ['as it does by itself', []],
    ['waiting for being asked', ['--expect100-timeout', '30', '-H', 'Expect: 100-continue']],
    ['without waiting', ['-H', 'Expect:']],
    ['in chunks', ['-H', 'Transfer-Encoding: chunked']],
    ['by HTTP/1.0', ['--http1.0']],
    ['slowly', ['--limit-rate', '5M']],
  ])('-T uploads a file %s', async (how, options) => {
    const path = `new/${how}.bin`
    const { code, stdout } = await upload(...options, '-T', file, url(encodeURI(path)))
    expect([code, stdout.toString().slice(0, 4)]).toEqual([0, '201 '])
    expect(await sha256Of(stored(path))).toBe(await sha256Of(file))
  })

  it('-T into a folder keeps the name of the file', async () => {
    const { stdout } = await upload('-T', file, url('folder/'))
    expect(stdout.toString()).toMatch(/^201 /)
    expect(await sha256Of(stored('folder/file.bin'))).toBe(await sha256Of(file))
  })

  it('sends not a byte of what is refused while it waits', async () => {
    const { stdout } = await upload('-T', file, '-H', 'If-None-Match: *', '-o', '/dev/null', url('there.txt'))
    expect(stdout.toString()).toBe('412 0')
  })

  it('sees the refusal of what it is already sending', async () => {
    const large = join(await outputs.makeFolder(), 'large')
    await writeFile(large, '')
    await truncate(large, 1024 ** 3)
    const options = ['-H', 'Expect:', '-H', 'If-None-Match: *', '--fail-with-body']
    const { code, stdout } = await upload('-T', large, ...options, url('there.txt'))
    expect(code).toBe(22)
    expect(stdout.toString()).toMatch(/"status":412.*\n412 \d+$/)
    expect(Number(/\d+$/.exec(stdout.toString())![0])).toBeLessThan(1024 ** 3)
  })

  it('deletes, copies and moves', async () => {
    const statusOf = async (...args: string[]): Promise<string> =>
      (await run(curl, ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...args])).stdout.toString()
    await upload('-T', file, url('a.bin'))
    expect(await statusOf('-X', 'POST', url('a.bin?copyTo=copies/b.bin'))).toBe('201')
    expect(await statusOf('-X', 'POST', url('a.bin?moveTo=copies/c.bin'))).toBe('201')
    expect(await statusOf('--json', '{"paths":["b.bin"]}', url('copies/?delete'))).toBe('200')
    expect(await sha256Of(stored('copies/c.bin'))).toBe(await sha256Of(file))
    expect(await statusOf('-X', 'DELETE', url('copies/?recursive=true'))).toBe('204')
    expect(await statusOf(url('copies/'))).toBe('404')
  })
})

describeClient('python3', findProgram('python3'), python => {
  it('uploads whole and in chunks, and sees why it was refused', async () => {
    const { code, stdout, stderr } = await run(python, [SCRIPT, url('python.bin'), file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout.toString())).toEqual({
      whole: 201,
      chunked: 204,
      refused: [412, 412],
      damaged: [400, 400],
    })
    expect(await sha256Of(stored('python.bin'))).toBe(await sha256Of(file))
  })

  it('uploads and deletes by requests', async context => {
    if ((await run(python, ['-c', 'import requests'])).code !== 0) context.skip('requests is not installed')
    const { code, stdout, stderr } = await run(python, [SCRIPT, url('requests.bin'), file, 'requests'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout.toString())).toEqual({
      streamed: [201, true],
      chunked: 204,
      refused: 412,
      deleted: 204,
    })
  })
})
