// What people type: curl on files, archives and URLs that try to climb out.
import { randomInt } from 'node:crypto'
import { appendFile, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { describeClient, findProgram } from './programs.ts'
import { run, runAndCut } from './run.ts'
import { serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { sha256Of } from './trees.ts'

const OUTPUTS = `/outputs/${SAMPLE_EXPERIMENT}`
const MODEL = `${OUTPUTS}/${SAMPLE_MODEL}`
const METRICS = `${OUTPUTS}/metrics.csv`

/** Exit codes of curl: `--fail` met a status from 400 up. */
const HTTP_RETURNED_ERROR = 22

describeClient('curl', findProgram('curl'), curl => {
  let outputs: ServedOutputs
  let folder: string

  beforeAll(async () => {
    outputs = await serveSample()
    folder = await outputs.makeFolder()
    return outputs.close
  })

  const url = (path: string): string => outputs.service.url + path
  const stored = (path: string): string => join(outputs.root, path.slice('/outputs/'.length))
  const fetchWith = (...args: string[]): ReturnType<typeof run> =>
    run(curl, ['--silent', '--show-error', ...args])
  const inFolder = (...args: string[]): ReturnType<typeof run> =>
    run(curl, ['--silent', '--show-error', ...args], { cwd: folder })

  it('downloads a file whole and ends with exit code 0', async () => {
    const { code } = await inFolder('--output', 'model', url(MODEL))

    expect(code).toBe(0)
    expect(await sha256Of(join(folder, 'model'))).toBe(await sha256Of(stored(MODEL)))
  })

  it.each([
    { range: '0-99', slice: [0, 100] },
    { range: '1000-', slice: [1000, undefined] },
    { range: '-100', slice: [-100, undefined] },
  ])('gets the bytes $range and nothing else', async ({ range, slice }) => {
    const { code, stdout } = await fetchWith('--range', range, url(METRICS))

    expect(code).toBe(0)
    expect(stdout).toEqual((await readFile(stored(METRICS))).subarray(...slice))
  })

  it('fails on a range that lies behind the end, and is told the size', async () => {
    const { code, stdout } = await fetchWith('--fail-with-body', '--include', '-r', '99999999-', url(METRICS))
    const { size } = await stat(stored(METRICS))

    expect(code).toBe(HTTP_RETURNED_ERROR)
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 416 /)
    expect(stdout.toString()).toContain(`\r\nContent-Range: bytes */${size}\r\n`)
  })

  describe.each([
    { what: 'a file', path: MODEL },
    { what: 'a zip', path: `${OUTPUTS}/?archive=zip` },
    { what: 'a tar', path: `${OUTPUTS}/?archive=tar` },
  ])('resuming $what with -C -', ({ what, path }) => {
    beforeAll(async () => {
      await fetchWith('--output', join(folder, `${what} whole`), url(path))
    })

    it('after a cut at a random byte gives the same bytes as one download', async () => {
      const whole = join(folder, `${what} whole`)
      const resumed = join(folder, `${what} resumed`)
      const { size } = await stat(whole)
      const cut = randomInt(1, size)
      await runAndCut(curl, ['--silent', '--no-buffer', url(path)], resumed, cut)

      const { code, stdout } = await fetchWith(
        ...['--continue-at', '-', '--output', resumed, '--write-out', '%{http_code} %{size_download}'],
        url(path),
      )

      expect({ code, answer: stdout.toString() }).toEqual({ code: 0, answer: `206 ${size - cut}` })
      expect(await sha256Of(resumed), `resumed at byte ${cut} of ${size}`).toBe(await sha256Of(whole))
    })

    it('once more when it is complete changes nothing and is no error', async () => {
      const complete = join(folder, `${what} whole`)
      const before = await sha256Of(complete)

      const { code } = await fetchWith('--continue-at', '-', '--output', complete, url(path))

      expect(code).toBe(0)
      expect(await sha256Of(complete)).toBe(before)
    })
  })

  it.each([
    { path: METRICS, name: 'metrics.csv' },
    {
      path: `${OUTPUTS}/notes/learning%20rate%20%2B%20batch%20size%20%232%20(50%25%20%26%20up).txt`,
      name: 'learning rate + batch size #2 (50% & up).txt',
    },
    { path: `${OUTPUTS}/?archive=zip`, name: 'quick-start-experiment-1.zip' },
    { path: `${OUTPUTS}/plots/?archive=tar`, name: 'plots.tar' },
    { path: `${OUTPUTS}/plots/?archive=tar.gz`, name: 'plots.tar.gz' },
  ])('-OJ saves $path as $name', async ({ path, name }) => {
    const emptyFolder = await outputs.makeFolder()

    const { code } = await run(curl, ['--silent', '--show-error', '-OJ', url(path)], { cwd: emptyFolder })

    expect(code).toBe(0)
    expect(await readdir(emptyFolder)).toEqual([name])
  })

  it('-OJ saves a name beyond ASCII under an ASCII name in the same folder', async () => {
    const emptyFolder = await outputs.makeFolder()
    const path = `${OUTPUTS}/notes/${encodeURIComponent('übersicht – résumé 模型.txt')}`

    const { code } = await run(curl, ['--silent', '--show-error', '-OJ', url(path)], { cwd: emptyFolder })

    expect(code).toBe(0)
    expect(await readdir(emptyFolder)).toEqual(['ubersicht _ resume __.txt'])
  })

  it('-z downloads only what is newer than the local copy', async () => {
    const copy = join(folder, 'metrics.csv')
    const answer = '%{http_code} %{size_download}'
    const size = (await stat(stored(METRICS))).size
    await fetchWith('--remote-time', '--output', copy, url(METRICS))

    const same = await fetchWith('-z', copy, '--output', copy, '--write-out', answer, url(METRICS))
    await utimes(copy, 1, 1)
    const older = await fetchWith('-z', copy, '--output', copy, '--write-out', answer, url(METRICS))

    expect(same.stdout.toString()).toBe('304 0')
    expect(older.stdout.toString()).toBe(`200 ${size}`)
  })

  it.each([
    { what: 'a file', path: METRICS },
    { what: 'a zip', path: `${OUTPUTS}/plots/?archive=zip` },
  ])('--etag-save and --etag-compare download $what once', async ({ what, path }) => {
    const etag = join(folder, `${what}.etag`)
    const answer = ['--output', join(folder, `${what} tagged`), '--write-out', '%{http_code}', url(path)]

    const first = await fetchWith('--etag-save', etag, ...answer)
    const second = await fetchWith('--etag-compare', etag, ...answer)
    await writeFile(etag, '"of-other-content"\n')
    const changed = await fetchWith('--etag-compare', etag, ...answer)

    expect([first, second, changed].map(({ stdout }) => stdout.toString())).toEqual(['200', '304', '200'])
  })

  it.each([METRICS, `${OUTPUTS}/?archive=zip`, `${OUTPUTS}/?archive=tar`, `${OUTPUTS}/`])(
    '-I shows the headers that GET would send for %s',
    async path => {
      const head = await fetchWith('--head', url(path))
      const get = await fetchWith('--dump-header', '-', '--output', join(folder, 'body'), url(path))
      const comparable = (headers: Buffer): string[] =>
        headers
          .toString()
          .split('\r\n')
          // RFC 9110 9.3.2: HEAD may leave out what is only known while content is sent.
          .filter(line => !/^(Date|X-Request-Id|Server-Timing|Transfer-Encoding):/i.test(line))

      expect(head.code).toBe(0)
      expect(comparable(head.stdout)).toEqual(comparable(get.stdout))
    },
  )

  describe('with --path-as-is', () => {
    it.each([
      '/../../../../../etc/passwd',
      '/../2/logs/prepare.log',
      '/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd',
      '/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
      '/..%5c..%5c..%5cetc%5cpasswd',
      '/plots/../../../jobs/2/logs/prepare.log',
      '//etc/passwd',
      '/%2fetc/passwd',
      '/metrics.csv%00.png',
      '/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd',
      '/%252e%252e/%252e%252e/etc/passwd',
      '/....//....//etc/passwd',
      '/metrics.csv/',
      '/metrics.csv/..',
    ])('is refused %s with a problem that names no path of the disk', async attempt => {
      const problem = join(folder, 'problem')
      const { code, stdout } = await fetchWith(
        ...['--path-as-is', '--fail-with-body', '--output', problem],
        ...['--write-out', '%{http_code} %{content_type}'],
        url(OUTPUTS + attempt),
      )
      const body = await readFile(problem, 'utf8')
      const answer = stdout.toString()

      expect(code).toBe(HTTP_RETURNED_ERROR)
      expect(answer).toMatch(/^(400|404) application\/problem\+json$/)
      expect(JSON.parse(body)).toMatchObject({ status: Number(answer.slice(0, 3)) })
      expect(body).not.toContain(outputs.root)
    })
  })

  it('starts again when the file has changed since the cut, instead of joining two versions', async () => {
    const { service, root, close } = await serveSample()
    try {
      const path = `/${SAMPLE_EXPERIMENT}/metrics.jsonl`
      const partial = join(folder, 'changed.jsonl')
      const { stdout: headers } = await fetchWith('--head', `${service.url}/outputs${path}`)
      const etag = /^etag: (.*)\r$/im.exec(headers.toString())![1]!
      await runAndCut(curl, ['--silent', `${service.url}/outputs${path}`], partial, 100)
      await appendFile(join(root, path), '{"step":"appended"}\n')

      const { stdout } = await fetchWith(
        ...['--range', '100-', '--header', `If-Range: ${etag}`, '--output', partial],
        ...['--write-out', '%{http_code}', `${service.url}/outputs${path}`],
      )

      expect(stdout.toString()).toBe('200')
      expect(await sha256Of(partial)).toBe(await sha256Of(join(root, path)))
    } finally {
      await close()
    }
  })
})
