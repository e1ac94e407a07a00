// The page of a notebook in a browser, without the headers that protect it: what a notebook brings along neither runs nor loads.
import axe from 'axe-core'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { renderNotebook } from '../../src/content/notebook.ts'
import { Listening } from '../support/listening.ts'
import { describeClient, findProgram } from './programs.ts'

const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const ATTACK = 'document.title = "ran"'
const LOADS = '<img src="/loaded"><link rel="stylesheet" href="/loaded"><iframe src="/loaded"></iframe>'
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload='${ATTACK}'><script>${ATTACK}</script><image href="/loaded"/></svg>`

const data = (bundle: object): object => ({ output_type: 'display_data', data: bundle })

const CELLS = [
  {
    cell_type: 'markdown',
    source: `# Title\n<script>${ATTACK}</script>${LOADS}\n\n![far](https://example.com/loaded.png) [go](javascript:${ATTACK})`,
  },
  {
    cell_type: 'code',
    source: `</pre></style></title><script>${ATTACK}</script>`,
    execution_count: 1,
    outputs: [
      data({
        'text/html': `<table><tr><th>a</th><td onclick='${ATTACK}'>1</td></tr></table><script>${ATTACK}</script><img src=x onerror='${ATTACK}'>${LOADS}<style>@import "/loaded"</style>`,
      }),
      data({ 'text/html': `<svg></p><style><a id="</style><img src=1 onerror='${ATTACK}'>">` }),
      data({
        'text/html': `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror='${ATTACK}'&gt;">`,
      }),
      data({ 'image/svg+xml': SVG, 'text/plain': 'drawing' }),
      data({ 'image/png': PIXEL, 'text/plain': 'plot' }),
      data({ 'application/javascript': ATTACK }),
      { output_type: 'error', traceback: [`\u001b[31m<script>${ATTACK}</script>`] },
    ],
  },
]

describeClient('chromium', findProgram('chromium', 'chromium-browser', 'google-chrome'), executablePath => {
  let browser: Browser
  let server: Listening
  let asked: string[] = []

  beforeAll(async () => {
    const notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells: CELLS }
    const page = await renderNotebook(Buffer.from(JSON.stringify(notebook)), 'train.ipynb')
    server = await Listening.start((_request, response) => {
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      response.end(page)
    })
    browser = await chromium.launch({ executablePath, args: ['--disable-gpu'], chromiumSandbox: false })
  })

  afterAll(async () => {
    await browser.close()
    await server.close()
  })

  async function visit(colorScheme: 'light' | 'dark'): Promise<Page> {
    const page = await (await browser.newContext({ colorScheme })).newPage()
    asked = []
    page.on('request', request => asked.push(request.url()))
    await page.goto(server.origin)
    return page
  }

  it('runs nothing, loads nothing, and shows its images', async () => {
    const page = await visit('light')
    expect(await page.title()).toBe('train.ipynb')
    expect(asked.filter(url => !url.startsWith('data:') && new URL(url).pathname !== '/')).toEqual([])
    expect(await page.locator('script, iframe, link, svg, [onclick], [onerror], [style]').count()).toBe(0)
    expect(await page.evaluate('[...document.images].map(image => image.naturalWidth)')).toEqual([9, 1])
    // Its own style is let in.
    expect(await page.evaluate('getComputedStyle(document.querySelector(".cell")).display')).toBe('grid')
  })

  it.each(['light', 'dark'] as const)('can be read by everybody in %s', async scheme => {
    const page = await visit(scheme)
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate<axe.AxeResults>('axe.run()')
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`)).toEqual([])
  })
})
