// Notebooks as pages: what is shown of them, and that nothing in them runs, loads, or breaks the page.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Notebooks, renderNotebook } from '../../src/content/notebook.ts'
import { isAppError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { at } from '../contract/harness.ts'

const notebooks = new Notebooks()

const PNG = 'iVBORw0KGgo='
const signal = new AbortController().signal

const page = (notebook: unknown): Promise<string> =>
  renderNotebook(Buffer.from(JSON.stringify(notebook)), 'train.ipynb')

const v4 = (...cells: object[]): object => ({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells })
const text = (source: unknown, more: object = {}): object => ({ cell_type: 'markdown', source, ...more })
const code = (...outputs: object[]): object => ({
  cell_type: 'code',
  source: 'run()',
  execution_count: 3,
  outputs,
})
const data = (bundle: object): object => code({ output_type: 'display_data', data: bundle })

/** The page without its head, of which the tests know that it is ours; of a notebook, or of one cell. */
async function body(notebook: object): Promise<string> {
  const html = await page('nbformat' in notebook ? notebook : v4(notebook))
  return html.slice(html.indexOf('<main>'))
}

/** Every tag with its attributes: text cannot hold one, for there `<` is escaped. */
const tagsOf = (html: string): string[] => html.match(/<[^>]*>/g) ?? []

const HARMLESS_TAG =
  /^<\/?(?:a|b|i|u|s|p|em|strong|small|h[1-6]|ul|ol|li|dl|dt|dd|pre|code|blockquote|hr|br|del|table|caption|colgroup|thead|tbody|tfoot|tr|th|td|div|span|sub|sup|mark|kbd|samp|var|img|main|body|html|header)(?: (?:class="[\w -]*"|tabindex="0"|start="\d+"|(?:col|row)span="\d+"|rel="noopener noreferrer"|href="(?:https?|mailto):[^"<>]*"|src="data:image\/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]*"|alt="[^"<>]*"|title="[^"<>]*"))*>$/i

function expectHarmless(html: string): void {
  expect(tagsOf(html.slice(html.indexOf('<main>'))).filter(tag => !HARMLESS_TAG.test(tag))).toEqual([])
}

describe('a notebook', () => {
  it('shows text, code with its count, and outputs of every kind', async () => {
    const html = await body(
      v4(
        text(['# Results\n', 'of *training*\n\n', '| a | b |\n|--:|:-:|\n| 1 | 2 |']),
        {
          cell_type: 'code',
          source: ['x = 1\n', 'x < 2'],
          execution_count: 7,
          outputs: [
            { output_type: 'stream', name: 'stdout', text: ['one\n', 'two'] },
            { output_type: 'stream', name: 'stderr', text: '10%\r50%\r100%\r\nwarn' },
            { output_type: 'execute_result', data: { 'text/plain': ['<Result>'] } },
            {
              output_type: 'error',
              ename: 'E',
              evalue: 'v',
              traceback: ['\u001b[0;31mE\u001b[0m: \u001b[1mv', 'at x'],
            },
          ],
        },
        data({ 'image/png': [`${PNG}\n`], 'text/plain': '<Figure size 1>' }),
        data({ 'application/json': { a: [1, { b: null }] }, 'text/plain': 'no' }),
        { cell_type: 'raw', source: 'raw <b>' },
      ),
    )
    expect(html).toContain('<h1>Results</h1>')
    expect(html).toContain('<th class="right">a</th>')
    expect(html).toContain('[7]')
    expect(html).toContain('x = 1\nx &lt; 2')
    expect(html).toContain('one\ntwo')
    expect(html).toContain('>100%\nwarn<')
    expect(html).toContain('&lt;Result&gt;')
    expect(html).toContain('>E: v\nat x<')
    expect(html).toContain(`<img src="data:image/png;base64,${PNG}" alt="&lt;Figure size 1&gt;">`)
    expect(html).toContain('{\n  &quot;a&quot;: [\n    1,\n    {\n      &quot;b&quot;: null\n    }\n  ]\n}')
    expect(html).toContain('raw &lt;b&gt;')
    expectHarmless(html)
  })

  it('of version 3 shows the same', async () => {
    const cells = [
      { cell_type: 'heading', level: 2, source: 'Old' },
      {
        cell_type: 'code',
        input: 'y = 2',
        prompt_number: 4,
        outputs: [
          { output_type: 'stream', stream: 'stdout', text: 'said' },
          { output_type: 'pyout', text: 'result', prompt_number: 4 },
          { output_type: 'display_data', png: PNG },
          { output_type: 'pyerr', ename: 'Err', evalue: 'why', traceback: [] },
        ],
      },
    ]
    const html = await body({ nbformat: 3, metadata: {}, worksheets: [{ cells }] })
    for (const part of ['<h2>Old</h2>', 'y = 2', '[4]', 'said', 'result', PNG, 'Err: why'])
      expect(html).toContain(part)
  })

  it('shows the table of a data frame, and nothing else of its HTML', async () => {
    const html = await body(
      data({
        'text/html':
          '<style scoped>td{color:red}</style><div onclick="x()"><table border="1" class="dataframe"><tr><th rowspan="2" style="x">n</th><td>1 &lt; 2 &amp; 3 > 0</td></tr></table></div><script>alert(1)</script>after',
        'text/plain': 'plain',
      }),
    )
    expect(html).toContain(
      '<div><table><tr><th rowspan="2">n</th><td>1 &lt; 2 &amp; 3 &gt; 0</td></tr></table></div>after',
    )
    expect(html).not.toContain('alert')
    expect(html).not.toContain('red')
  })

  it('says so where it shows the text of what only Jupyter can show', async () => {
    const html = await body(
      data({
        'text/html': '<div id="p"></div><script>plot()</script>',
        'application/vnd.plotly.v1+json': {},
        'text/plain': 'Figure',
      }),
    )
    expect(html).toContain('<pre>Figure</pre>')
    expect(html).toContain('Not shown here: text/html, application/vnd.plotly.v1+json')
  })

  it('shows images of the notebook in its text; others are links', async () => {
    const html = await body(
      text(
        `![mine](attachment:a%20b.png) ![no](attachment:gone.png) ![far](https://example.com/x.png) [![badge](http://e.com/b.svg)](http://e.com) ![d](data:image/png;base64,${PNG})`,
        { attachments: { 'a b.png': { 'image/png': PNG } } },
      ),
    )
    expect(html).toContain(`<img src="data:image/png;base64,${PNG}" alt="mine">`)
    expect(html).toContain('<a href="https://example.com/x.png" rel="noopener noreferrer">far</a>')
    expect(html).toContain('<a href="http://e.com" rel="noopener noreferrer">badge</a>')
    expect(html.match(/<img /g)).toHaveLength(2)
    expectHarmless(html)
  })
})

describe('a hostile notebook', () => {
  it.each([
    ['a script in text', text('<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>')],
    [
      'a script link',
      text(
        '[x](javascript:alert(1)) [y](  JaVaScRiPt:alert(1)) <javascript:alert(1)> [z](data:text/html;base64,PHNjcmlwdD4=)',
      ),
    ],
    ['a data link to an image', text(`[x](data:image/png;base64,${PNG})`)],
    [
      'quotes in a link',
      text('[x](https://e.com/"onclick="alert(1) "a\\"onclick=") ![a"onload="x](https://e.com)'),
    ],
    [
      'an attachment that is SVG or no base64',
      text('![x](attachment:s) ![y](attachment:b)', {
        attachments: { s: { 'image/svg+xml': '<svg onload="alert(1)"/>' }, b: { 'image/png': '"><script>' } },
      }),
    ],
    ['the end of the style', text('</style></title></main><style>@import "x"</style>')],
    [
      'HTML that breaks out',
      data({
        'text/html':
          '</div></main></body><div><svg><style><!--</style><img src=x onerror=alert(1)>--></svg><b',
      }),
    ],
    [
      'HTML with odd tags',
      data({
        'text/html':
          '<scr<script>ipt>a</scr</script>ipt><a href="javascript:x">l</a><img src=x onerror=y><form action=x><input><meta http-equiv=refresh><base href=x><link rel=stylesheet href=x><td colspan="2" onclick=x style=y>c',
      }),
    ],
    ['HTML that never ends a quote', data({ 'text/html': '<b title="><script>x</script>' })],
    ['a comment', data({ 'text/html': '<!--> <script>x</script> --!> <b>x</b> <!-- ' })],
    [
      'an SVG',
      data({ 'image/svg+xml': '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' }),
    ],
    [
      'an image that is none',
      data({ 'image/png': '"><script>alert(1)</script>', 'text/plain': '<script>x</script>' }),
    ],
    ['names of types', data({ '"><script>x</script>': 'x' })],
    ['JavaScript', data({ 'application/javascript': 'alert(1)' })],
    [
      'control characters',
      code({ output_type: 'stream', text: '\u0000\u001b]0;title\u0007\u001b[2J\u001b\u0008<b>\ud800' }),
    ],
  ])('%s', async (_name, cell) => {
    const html = await page(v4(cell))
    expectHarmless(html)
    expect(html).not.toMatch(/[\0-\x08\x0b-\x1f\x7f]/)
    expect(html.isWellFormed()).toBe(true)
  })

  it('has its title escaped', async () => {
    const html = await renderNotebook(Buffer.from(JSON.stringify(v4())), '</title><script>x</script>.ipynb')
    expect(html).not.toContain('<script')
  })

  it('of any shape is a page or no notebook', async () => {
    const key = fc.constantFrom(
      ...[
        'cell_type',
        'source',
        'outputs',
        'output_type',
        'data',
        'text',
        'traceback',
        'attachments',
        'name',
      ],
      ...['text/html', 'text/plain', 'image/png', 'image/svg+xml', 'application/json', 'text/markdown'],
      ...['execution_count', 'level', 'input', '__proto__', 'x'],
    )
    const word = fc.oneof(
      fc.constantFrom('code', 'markdown', 'heading', 'raw', 'stream', 'error', 'pyout', 'display_data', PNG),
      fc
        .array(
          fc.constantFrom(
            '<',
            '>',
            '"',
            "'",
            '<script',
            '</',
            'td',
            '!--',
            '[x](',
            ')',
            '![',
            'a',
            '&',
            '`',
            '|',
            '\n',
            '\u001b[',
            '=',
          ),
          { maxLength: 12 },
        )
        .map(parts => parts.join('')),
    )
    const { value } = fc.letrec(tie => ({
      value: fc.oneof(
        { maxDepth: 5 },
        word,
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(key, tie('value'), { maxKeys: 6 }),
      ),
    }))
    const cell = fc.record(
      {
        cell_type: fc.constantFrom<unknown>('code', 'markdown', 'heading', 'raw', 3),
        source: fc.oneof(word, value),
        outputs: fc.oneof(
          value,
          fc.array(
            fc.record({ output_type: word, data: fc.dictionary(key, fc.oneof(word, value)), text: value }),
          ),
        ),
        attachments: value,
      },
      { requiredKeys: [] },
    )
    const notebook = fc.oneof(
      value,
      fc.record({ nbformat: fc.constant(4), metadata: value, cells: fc.oneof(value, fc.array(cell)) }),
    )
    await fc.assert(
      fc.asyncProperty(notebook, async given => {
        try {
          expectHarmless(await page(given))
        } catch (error) {
          if (!isAppError(error, 'InvalidArgument')) throw error
        }
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    [
      'deep lists in an output',
      data({ 'application/json': JSON.parse(`${'['.repeat(4000)}1${']'.repeat(4000)}`) as unknown }),
    ],
    ['deep Markdown', text(`${'> '.repeat(15_000)}x`)],
    ['open brackets', text('['.repeat(30_000))],
    ['much Markdown', text('['.repeat(30_000)), 60],
    ['an embedded image', text(`![x](data:image/png;base64,${'A'.repeat(9_000_000)})`)],
    ['open images', text('![a]('.repeat(6000))],
    ['stars', text('*a **a '.repeat(4500))],
    ['backticks', text(Array.from({ length: 240 }, (_, i) => '`'.repeat(i)).join(' '))],
    ['table', text(`${'|a'.repeat(4000)}\n${'|-'.repeat(4000)}\n${'|b\n'.repeat(5000)}`)],
    ['tags', data({ 'text/html': '<div>'.repeat(200_000) })],
    ['tags that do not end', data({ 'text/html': '<b '.repeat(300_000) })],
    ['closing tags', data({ 'text/html': `${'<b>'.repeat(150)}${'</i>'.repeat(200_000)}` })],
    ['returns', code({ output_type: 'stream', text: `${'\r'.repeat(200_000)}x` })],
    [
      'one image that is shown often',
      text('![](attachment:a)\n'.repeat(1500), { attachments: { a: { 'image/png': 'A'.repeat(400_000) } } }),
    ],
    [
      'one embedded image that is shown often',
      text(`${'![][a]\n'.repeat(3000)}\n[a]: data:image/png;base64,${'A'.repeat(400_000)}`),
    ],
    ['outputs with nothing in them', { ...code(), outputs: Array.from({ length: 400_000 }, () => ({})) }],
    ['escapes', code({ output_type: 'stream', text: '\u001b]'.repeat(400_000) })],
  ] as [string, object, number?][])(
    'takes bounded time and space for %s',
    async (_name, cell, cells = 1) => {
      const html = await page(v4(...Array.from({ length: cells }, () => cell)))
      expect(html.length).toBeLessThan(18_000_000)
    },
    20_000,
  )

  it('ends where a page is too long, also within a cell', async () => {
    const output = { output_type: 'stream', text: '"'.repeat(1024 * 1024) }
    const html = await body(v4(code(...Array.from({ length: 12 }, () => output)), text('after')))
    expect(html.length).toBeLessThan(60_000_000)
    expect(html).toContain('The other outputs of this cell are left out')
    expect(html).toContain('The other 1 cells are left out')
    expect(html.match(/<div\b/g)).toHaveLength(html.match(/<\/div>/g)!.length)
  })

  it('has a long output cut, and says so', async () => {
    const html = await body(v4(code({ output_type: 'stream', text: 'x'.repeat(3_000_000) })))
    expect(html.length).toBeLessThan(1_100_000)
    expect(html).toContain('of 3000000 characters')
  })
})

describe('a file as a notebook', () => {
  it('is a page with a validator of its own', async () => {
    const store = new MemoryStore()
    store.write(at('n/train.ipynb'), Buffer.from(JSON.stringify(v4(text('hello')))))
    const shown = await notebooks.open(store, at('n/train.ipynb'), { signal })
    const { etag } = await store.stat(at('n/train.ipynb'))
    expect(shown).toMatchObject({ mediaType: 'text/html; charset=utf-8', filename: 'train.ipynb.html' })
    expect(shown.etag).not.toBe(etag)
    expect(shown.etag).toContain(etag)
    const chunks = []
    for await (const chunk of shown.read(0, shown.size!)) chunks.push(chunk)
    expect(Buffer.concat(chunks)).toHaveLength(shown.size!)
    const part = []
    for await (const chunk of shown.read(5, 20)) part.push(chunk)
    expect(Buffer.concat(part)).toEqual(Buffer.concat(chunks).subarray(5, 20))
  })

  it('is not made while clients hold too many pages', async () => {
    const store = new MemoryStore()
    const output = { output_type: 'stream', text: '"'.repeat(1024 * 1024) }
    const content = JSON.stringify(v4(code(...Array.from({ length: 7 }, () => output))))
    store.write(at('x.ipynb'), Buffer.from(content))
    const opened = await Promise.allSettled(
      Array.from({ length: 12 }, () => notebooks.open(store, at('x.ipynb'), { signal })),
    )
    const pages = opened.filter(each => each.status === 'fulfilled').map(({ value }) => value)
    const refused = opened.filter(each => each.status === 'rejected')
    expect(pages.reduce((sum, { size }) => sum + size!, 0)).toBeLessThan(350 * 1024 * 1024)
    expect(refused.length).toBeGreaterThan(0)
    for (const { reason } of refused) expect(isAppError(reason, 'RateLimited')).toBe(true)
    for (const each of pages) await each.close()
    await (await notebooks.open(store, at('x.ipynb'), { signal })).close()
  }, 60_000)

  it.each([
    ['no JSON', 'x = 1', 'InvalidArgument'],
    ['other JSON', '{"a":1}', 'InvalidArgument'],
    ['a list', '[]', 'InvalidArgument'],
    ['nothing', '', 'InvalidArgument'],
    ['too long', Buffer.alloc(16 * 1024 * 1024 + 1), 'TooLarge'],
    ['more parts than fit in memory', `{"nbformat":4,"cells":[${'{},'.repeat(1_000_000)}{}]}`, 'TooLarge'],
  ] as const)('is refused with %s', async (_name, content, kind) => {
    const store = new MemoryStore()
    store.write(at('x.ipynb'), Buffer.from(content))
    await expect(notebooks.open(store, at('x.ipynb'), { signal })).rejects.toSatisfy(error =>
      isAppError(error, kind),
    )
  })
})
