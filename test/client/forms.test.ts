// What forms are sent with: curl -F, Python's standard library, requests, and a browser.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { JOB, serveJob, type ServedOutputs } from './served-outputs.ts'
import { sha256Of } from './trees.ts'

const SCRIPT = fileURLToPath(new URL('python/form.py', import.meta.url))
const SIZE = 5_000_000

let outputs: ServedOutputs
let folder: string
let file: string
const url = (path: string): string => `${outputs.service.url}/outputs/${JOB}/${path}`
const stored = (path: string): string => join(outputs.root, JOB, path)

beforeAll(async () => {
  outputs = await serveJob(new Map([['there.txt', 'before']]))
  folder = await outputs.makeFolder()
  file = join(folder, 'model.bin')
  await writeFile(file, randomBytes(SIZE))
  return outputs.close
})

async function expectStored(...paths: string[]): Promise<void> {
  const whole = await sha256Of(file)
  for (const path of paths) expect([path, await sha256Of(stored(path))]).toEqual([path, whole])
}

describeClient('curl', findProgram('curl'), curl => {
  const upload = (...args: string[]): ReturnType<typeof run> =>
    run(curl, ['--silent', '--show-error', '--write-out', '%{http_code} %{size_upload}', ...args])

  it.each([
    ['as it does by itself', []],
    ['waiting for being asked', ['--expect100-timeout', '30', '-H', 'Expect: 100-continue']],
    ['without waiting', ['-H', 'Expect:']],
    ['in chunks', ['-H', 'Transfer-Encoding: chunked']],
    ['slowly', ['--limit-rate', '5M']],
  ])('-F uploads files %s', async (how, options) => {
    const { code, stdout } = await upload(
      ...options,
      ...[
        '-o',
        '/dev/null',
        '-F',
        `file=@${file}`,
        '-F',
        'note=x',
        '-F',
        `other=@${file};filename=sub/ü.bin`,
      ],
      url(`${encodeURI(how)}/`),
    )
    expect([code, stdout.toString().slice(0, 4)]).toEqual([0, '201 '])
    await expectStored(`${how}/model.bin`, `${how}/sub/ü.bin`)
  })

  it('-F uploads what comes in on standard input', async () => {
    const shell = `cat "${file}" | "${curl}" -sS -w '%{http_code}' -o /dev/null -F 'file=@-;filename=piped.bin' "${url('')}"`
    expect((await run('/bin/sh', ['-c', shell])).stdout.toString()).toBe('201')
    await expectStored('piped.bin')
  })

  it('-F keeps quotes, backslashes and percent signs in a name', async () => {
    const name = `it's "50%" a\\b.txt`
    await writeFile(join(folder, name), 'x')
    const { stdout } = await upload(
      '-F',
      `file=@"${join(folder, name).replace(/["\\]/g, '\\$&')}"`,
      url('names/'),
    )
    expect(stdout.toString()).toMatch(/201 \d+$/)
    expect(await readdir(stored('names'))).toEqual([name])
  })

  it('-f fails when a file was not stored, and the others are', async () => {
    const bad = `file=@${file};filename=../up.bin`
    const { code, stdout } = await upload('--fail-with-body', '-F', bad, '-F', `file=@${file}`, url('part/'))
    expect(code).toBe(22)
    const [body, written] = stdout.toString().split('\n')
    expect(written).toMatch(/^400 /)
    expect((JSON.parse(body!) as { files: unknown[] }).files).toMatchObject([
      { path: '../up.bin', problem: { status: 400 } },
      { path: 'model.bin', size: SIZE, status: 201 },
    ])
    await expectStored('part/model.bin')
  })

  it('sends not a byte of what is refused while it waits', async () => {
    const { stdout } = await upload('-F', `file=@${file}`, '-H', 'Origin: null', '-o', '/dev/null', url(''))
    expect(stdout.toString()).toBe('403 0')
  })
})

describeClient('python3', findProgram('python3'), python => {
  it('uploads a form whole and in chunks, and sees what was refused', async () => {
    const { code, stdout, stderr } = await run(python, [SCRIPT, url(''), file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout.toString())).toEqual({
      whole: [201, [201, 201]],
      chunked: [201, [204, 204]],
      refused: [412, [412, 412, 201]],
    })
    await expectStored('python/whole.bin', 'python/übung.bin', 'new.bin')
  })

  it('uploads a form by requests', async context => {
    if ((await run(python, ['-c', 'import requests'])).code !== 0) context.skip('requests is not installed')
    const { code, stdout, stderr } = await run(python, [SCRIPT, url(''), file, 'requests'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout.toString())).toEqual({
      one: [201, ['requests.bin']],
      two: [201, ['sub/模型.bin', 'b.bin']],
      refused: 400,
    })
    await expectStored('requests.bin', 'sub/模型.bin', 'b.bin')
  })
})

describeClient('chromium', findProgram('chromium', 'chromium-browser', 'google-chrome'), executablePath => {
  let browser: Browser

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--disable-gpu'], chromiumSandbox: false })
    return () => browser.close()
  })

  /** A page at `address` with a form for files, which our own pages do not have and their policy would not allow. */
  async function pageWithForm(address: string, action: string, attributes: string): Promise<Page> {
    const page = await (await browser.newContext({ bypassCSP: true })).newPage()
    await page.goto(address)
    await page.evaluate(
      `document.body.innerHTML = '<form method="post" enctype="multipart/form-data" action="${action}">' +
        '<input type="text" name="note" value="x"><input type="file" name="file" ${attributes}>' +
        '<input type="file" name="none"><button>Upload</button></form>'`,
    )
    return page
  }

  async function submit(page: Page): Promise<number> {
    const [answer] = await Promise.all([
      page.waitForResponse(response => response.request().method() === 'POST'),
      page.getByRole('button', { name: 'Upload' }).click(),
    ])
    await page.waitForLoadState()
    return answer.status()
  }

  it('uploads files by a form, and comes back to the folder that has them', async () => {
    const page = await pageWithForm(url(''), url('browser/'), 'multiple')
    const small = { name: 'ü "50%" 模型.txt', mimeType: 'text/plain', buffer: Buffer.from('small') }
    await writeFile(join(folder, small.name), small.buffer)
    await page.setInputFiles('[name=file]', [file, join(folder, small.name)])

    expect(await submit(page)).toBe(303)
    expect(page.url()).toBe(url('browser/'))
    expect(await page.locator('#entries tbody a').allInnerTexts()).toEqual(['model.bin', small.name])
    await expectStored('browser/model.bin')
    expect(await (await fetch(url(`browser/${encodeURIComponent(small.name)}`))).text()).toBe('small')
  })

  it('uploads a folder with the folders in it', async () => {
    const dropped = join(folder, 'dropped')
    await mkdir(join(dropped, 'a/b'), { recursive: true })
    for (const path of ['x.txt', 'a/y.txt', 'a/b/z.txt']) await writeFile(join(dropped, path), path)
    const page = await pageWithForm(url(''), url('trees/'), 'webkitdirectory')
    await page.setInputFiles('[name=file]', dropped)

    expect(await submit(page)).toBe(303)
    for (const path of ['x.txt', 'a/y.txt', 'a/b/z.txt'])
      expect(await (await fetch(url(`trees/${basename(dropped)}/${path}`))).text()).toBe(path)
  })

  it('uploads by a script, and gets what came of each file', async () => {
    const page = await pageWithForm(url(''), url(''), '')
    const answer = await page.evaluate(`(async () => {
      const form = new FormData()
      form.append('file', new Blob(['content']), 'scripted/file.txt')
      form.append('file', new Blob(['content']), 'there.txt')
      const answer = await fetch('?overwrite=false', { method: 'POST', body: form })
      return [answer.status, (await answer.json()).files.map(({ path }) => path)]
    })()`)
    expect(answer).toEqual([412, ['scripted/file.txt', 'there.txt']])
    expect(await (await fetch(url('scripted/file.txt'))).text()).toBe('content')
  })

  describe('on a page of another site', () => {
    it('uploads nothing', async () => {
      const other = await serveJob(new Map([['page.txt', 'x']]))
      try {
        const page = await pageWithForm(`${other.service.url}/outputs/${JOB}/`, url('foreign/'), '')
        await page.setInputFiles('[name=file]', file)
        expect(await submit(page)).toBe(403)
        expect((await fetch(url('foreign/'))).status).toBe(404)
      } finally {
        await other.close()
      }
    })
  })
})
