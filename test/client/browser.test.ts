// A person with a browser: finds the way down and up, sorts, pages, downloads, and is safe from what runs wrote.
import { join } from 'node:path'
import axe from 'axe-core'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT } from '../../src/sample/contents.ts'
import { hostileFiles } from './hostile-files.ts'
import { describeClient, findProgram } from './programs.ts'
import { JOB, serveJob, serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'
import { sha256Of, sha256OfAll } from './trees.ts'

/** Nothing of its own on the network, so that every request is the page's. */
const ARGUMENTS = [
  ...['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
]

/** Would be seen by `complaints`, and in the title, wherever it ran. */
const SCRIPT = '<script>document.title = "ran"; console.error("ran")</script>'

const ATTACKS = new Map([
  ['page.html', `<!doctype html><title>page</title>${SCRIPT}`],
  ['page.xhtml', `<html xmlns="http://www.w3.org/1999/xhtml"><body>${SCRIPT}</body></html>`],
  ['image.svg', `<svg xmlns="http://www.w3.org/2000/svg">${SCRIPT}</svg>`],
  ['feed.xml', `<x xmlns:h="http://www.w3.org/1999/xhtml">${SCRIPT.replaceAll('script', 'h:script')}</x>`],
  ['unknown', `<!doctype html><title>unknown</title>${SCRIPT}`],
])

const SHOWN_ATTACKS = new Map([
  ['text.txt', `<!doctype html><title>text</title>${SCRIPT}`],
  ['data.json', `<!doctype html><title>json</title>${SCRIPT}`],
])

const PAGE_SIZE = 1000
const MANY = new Map(Array.from({ length: PAGE_SIZE + 5 }, (_, i) => [`step-${10_000 + i}.txt`, 'x']))

const browserPath = findProgram('chromium', 'chromium-browser', 'google-chrome')

describeClient('chromium', browserPath, executablePath => {
  let browser: Browser
  let sample: ServedOutputs
  /** What no page may do: errors in its console, exceptions, requests to another host. */
  let complaints: string[] = []

  beforeAll(async () => {
    sample = await serveSample()
    browser = await chromium.launch({ executablePath, args: ARGUMENTS, chromiumSandbox: false })
    return async () => {
      await browser.close()
      await sample.close()
    }
  })

  afterEach(async () => {
    for (const context of browser.contexts()) await context.close()
    const found = complaints
    complaints = []
    expect(found).toEqual([])
  })

  async function visit(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await browser.newContext(options)).newPage()
    const { host } = new URL(url)
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    page.on('pageerror', error => complaints.push(error.message))
    page.on('request', request => {
      if (new URL(request.url()).host !== host) complaints.push(`asked for ${request.url()}`)
    })
    await page.goto(url)
    return page
  }

  const visitSample = (path: string, options?: BrowserContextOptions): Promise<Page> =>
    visit(`${sample.service.url}/outputs/${path}`, options)

  const entryNames = (page: Page): Promise<string[]> => page.locator('#entries tbody a').allInnerTexts()
  const linkTo = (page: Page, name: string): ReturnType<Page['getByRole']> =>
    page.getByRole('link', { name, exact: true })

  it('clicks from the top down to a plot, which it shows', async () => {
    const page = await visitSample('')

    for (const name of ['demo/', 'quick-start/', 'experiments/', '1/', 'plots/', 'loss.png'])
      await linkTo(page, name).click()

    await page.waitForURL(/\/loss\.png$/)
    const size = await page
      .locator('img')
      .evaluate(async (image: { decode(): Promise<void>; naturalWidth: number; naturalHeight: number }) => {
        await image.decode()
        return [image.naturalWidth, image.naturalHeight]
      })
    expect(size[0]).toBeGreaterThan(100)
    expect(size[1]).toBeGreaterThan(100)
  })

  it('goes back up by the links above the entries, one for each level', async () => {
    const page = await visitSample(`${SAMPLE_EXPERIMENT}/plots/`)
    const above = page.getByRole('navigation')
    const visited: string[] = []

    for (const name of ['1', 'experiments', 'quick-start', 'demo', 'outputs']) {
      await above.getByRole('link', { name, exact: true }).click()
      visited.push(new URL(page.url()).pathname)
    }

    expect(visited).toEqual([
      '/outputs/demo/quick-start/experiments/1/',
      '/outputs/demo/quick-start/experiments/',
      '/outputs/demo/quick-start/',
      '/outputs/demo/',
      '/outputs/',
    ])
  })

  it('sorts by the heading that is clicked, the other way when it is clicked again, and says so', async () => {
    const page = await visitSample(`${SAMPLE_EXPERIMENT}/`)
    const size = page.getByRole('columnheader', { name: 'Size' })
    const files = async (): Promise<string[]> =>
      (await entryNames(page)).filter(name => ['metrics.csv', 'metrics.jsonl', 'report.html'].includes(name))

    await size.getByRole('link').click()
    await page.waitForURL(/sort=size/)
    expect(await size.getAttribute('aria-sort')).toBe('ascending')
    expect(await files()).toEqual(['report.html', 'metrics.csv', 'metrics.jsonl'])

    await size.getByRole('link').click()
    await page.waitForURL(/order=desc/)
    expect(await size.getAttribute('aria-sort')).toBe('descending')
    expect(await files()).toEqual(['metrics.jsonl', 'metrics.csv', 'report.html'])
  })

  it('downloads a folder as a zip under its name', async () => {
    const page = await visitSample(`${SAMPLE_EXPERIMENT}/notebooks/`)
    const saved = join(await sample.makeFolder(), 'saved.zip')

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download as zip' }).click(),
    ])
    await download.saveAs(saved)

    expect(download.suggestedFilename()).toBe('notebooks.zip')
    const direct = await fetch(download.url())
    expect(await sha256Of(saved)).toBe(await sha256OfAll(direct.body!))
  })

  it('saves a file under a name beyond ASCII', async () => {
    const page = await visitSample(`${SAMPLE_EXPERIMENT}/notes/`)

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.evaluate(`location.href = document.querySelector('#entries a[href*="%E6"]').href + '?download'`),
    ])

    expect(download.suggestedFilename()).toBe('übersicht – résumé 模型.txt')
  })

  describe('with the keyboard alone', () => {
    it('reaches the entries by the first link of the page', async () => {
      const page = await visitSample(`${SAMPLE_EXPERIMENT}/`)

      await page.keyboard.press('Tab')
      const skip = page.getByRole('link', { name: 'Skip to the entries' })
      expect(await skip.evaluate(link => link === link.ownerDocument.activeElement)).toBe(true)
      expect((await skip.boundingBox())!.x).toBeGreaterThanOrEqual(0)
      await page.keyboard.press('Enter')
      await page.keyboard.press('Tab')

      expect(await page.locator(':focus').evaluate(link => link.closest('#entries') !== null)).toBe(true)
    })

    it('sees which link has the focus', async () => {
      const page = await visitSample(`${SAMPLE_EXPERIMENT}/`)
      await page.keyboard.press('Tab')
      await page.keyboard.press('Tab')

      const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')

      expect(outline).toBe('solid')
    })
  })

  it.each([320, 1280])('needs no scrolling sideways at a width of %i pixels', async width => {
    const page = await visitSample(`${SAMPLE_EXPERIMENT}/notes/`, { viewport: { width, height: 640 } })

    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
  })

  it.each(['light', 'dark'] as const)('has nothing that axe objects to, in %s colours', async colorScheme => {
    for (const path of [`outputs/${SAMPLE_EXPERIMENT}/`, 'outputs/', 'docs']) {
      const page = await visit(`${sample.service.url}/${path}`, { colorScheme })
      await page.evaluate(axe.source)
      const { violations, passes } = await page.evaluate<axe.AxeResults>('axe.run()')
      expect(violations.map(({ id, nodes }) => [path, id, nodes.map(({ html }) => html)])).toEqual([])
      expect(passes.length).toBeGreaterThan(10)
    }
  })

  it('follows the colours of the system', async () => {
    const colours = async (colorScheme: 'light' | 'dark'): Promise<unknown> => {
      const page = await visitSample('', { colorScheme })
      return page.evaluate('getComputedStyle(document.body).color')
    }

    expect(await colours('light')).toBe('rgb(0, 0, 0)')
    expect(await colours('dark')).toBe('rgb(255, 255, 255)')
  })

  it('pages through a long folder, every entry once, by the next link', async () => {
    const many = await serveJob(MANY)
    try {
      const page = await visit(`${many.service.url}/outputs/${JOB}/`)
      const first = await entryNames(page)
      await page.getByRole('link', { name: 'Next page' }).click()
      const second = await entryNames(page)

      expect([...first, ...second]).toEqual([...MANY.keys()])
      expect(first).toHaveLength(PAGE_SIZE)
      expect(await page.getByRole('link', { name: 'Next page' }).count()).toBe(0)
    } finally {
      await many.close()
    }
  })

  it('finds every file behind its link, whatever it is called', async () => {
    const files = hostileFiles()
    const hostile = await serveJob(files)
    try {
      const page = await visit(`${hostile.service.url}/outputs/${JOB}/?format=html&recursive`)
      const targets: string[] = await page
        .locator('#entries tbody a')
        .evaluateAll((links: { href: string }[]) => links.map(link => link.href))
      const contents = await Promise.all(
        targets.filter(href => !href.endsWith('/')).map(async href => (await fetch(href)).text()),
      )

      expect(contents.sort()).toEqual([...files.values()].sort())
    } finally {
      await hostile.close()
    }
  })

  describe('on artifacts that are attacks', () => {
    let attacks: ServedOutputs

    beforeAll(async () => {
      attacks = await serveJob(new Map([...ATTACKS, ...SHOWN_ATTACKS]))
      return attacks.close
    })

    it.each([...ATTACKS.keys()])('saves %s instead of running it', async name => {
      const page = await visit(`${attacks.service.url}/outputs/${JOB}/`)

      const [download] = await Promise.all([page.waitForEvent('download'), linkTo(page, name).click()])

      expect(download.suggestedFilename()).toBe(name)
      expect(await page.title()).not.toBe('ran')
    })

    it.each([...SHOWN_ATTACKS])('shows %s as text', async (name, content) => {
      const page = await visit(`${attacks.service.url}/outputs/${JOB}/`)

      await linkTo(page, name).click()
      await page.waitForURL(url => url.pathname.endsWith(name))

      expect(await page.locator('body').innerText()).toContain(content)
      expect(await page.title()).not.toBe('ran')
    })

    it('gives what it shows no origin to act for', async () => {
      const page = await visit(`${attacks.service.url}/outputs/${JOB}/text.txt`)

      expect(await page.evaluate('origin')).toBe('null')
    })
  })
})
