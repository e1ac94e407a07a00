// Names and texts that become header fields, addresses, pages and error messages: of files that lie there, and of requests.
import { describe, expect, it } from 'vitest'
import { fieldPart, filePart, form, FORM_TYPE } from '../support/form.ts'
import { metadataOf } from '../support/uploading.ts'
import { CHANGING, READING } from './places.ts'
import { strike, strikeAll, type Answer, type Attack } from './strike.ts'
import { describeVictims, INSIDE, RUN, UUID } from './victim.ts'

const STREAMS = `/streams/v1/default/ann/mnist/runs/${UUID}`

/** What would get out of a field, a page, a text in JSON or an address. None has a slash: each is the name of a file. */
const INJECTIONS: readonly (readonly [title: string, text: string])[] = [
  ['a field behind CR LF', 'a\r\nX-Injected: 1'],
  ['a field behind LF', 'a\nX-Injected: 1'],
  ['a field behind CR', 'a\rX-Injected: 1'],
  ['a body behind CR LF', 'a\r\n\r\n<script>alert(1)<'],
  ['CR LF in other characters (U+560D U+560A)', 'a\u560d\u560aX-Injected: 1'],
  ['line separators', 'a\u2028\u2029\u0085X-Injected: 1'],
  ['the end of a quoted name', 'a"; filename="b.html'],
  ['the end of a quoted name by a backslash', 'a\\"; filename="b.html'],
  ['another name by its parameter', "a; filename*=UTF-8''evil.html"],
  ['the end of a link', 'a>; rel="next", <evil'],
  ['an element', '<script>alert(1)<'],
  ['an element with an event', '<img src=x onerror=alert(1)>'],
  ['the end of an attribute', '" onmouseover="alert(1)'],
  ["the end of an attribute in '", "' onmouseover='alert(1)"],
  ['the end of a title', '<\u2215title><svg onload=alert(1)>'],
  ['a comment that ends', '--><b>'],
  ['an entity', '&lt;script&gt;&#60;b&#62;'],
  ['an address of a script', 'javascript:alert(1)'],
  ['an address of a page', 'data:text,html,<b>'],
  ['the end of a string', '\\";alert(1);"'],
  ['the end of CDATA', ']]><b>'],
  ['a template', '{{constructor.constructor("alert(1)")()}}'],
  ['a template of a string', '${alert(1)}'],
  ['a formula', '=cmd|calc!A1'],
  ['a sequence of a terminal', '\u001b[2J\u001b]0;owned\u0007'],
  ['a turned direction', '\u202egpj.exe'],
  ['bytes that look like UTF-7', '+ADw-script+AD4-'],
]

/** Markup of the service's own that is not escaped text would have one of these. */
const ACTIVE = /<(script|img|svg|iframe|object|embed|b>)|<[^>]* on\w+=/i

function expectInert({ headers, text }: Answer, what: string): void {
  if (!/html|svg|xml/.test(headers.get('content-type') ?? '')) return
  expect(text, what).not.toMatch(ACTIVE)
  expect(headers.get('content-security-policy'), what).toMatch(/^(default-src 'none'|sandbox)/)
}

const path = encodeURIComponent

describeVictims((victim, isRemote) => {
  describe.each(INJECTIONS)('%s', (title, text) => {
    it.skipIf(isRemote)('stays a text wherever a request has it', async () => {
      const attacks = [...READING, ...CHANGING].flatMap(place => [
        place.ask(path(text)),
        // Where the text is the client's as it is, in JSON or in a form.
        ...(/JSON|form|artifact|upload/i.test(place.title) ? [place.ask(text)] : []),
      ])
      const answers = await strikeAll(victim(), attacks)
      for (const [i, answer] of answers.entries()) expectInert(answer, `${title}: ${attacks[i]!.target}`)
      await victim().restore()
    })

    it('is only the name of a file that lies there', async () => {
      const names = [text, `${text}.html`]
      for (const run of [RUN, UUID])
        for (const name of names) {
          await victim().write(`root/${run}/names/${name}`, INSIDE)
          await victim().write(`root/${run}/names/folder ${name}/inside.txt`, INSIDE)
        }
      const attacks: Attack[] = names.flatMap(name => [
        ...['', '?download=true', '?download=false'].map(query => ({
          target: `/outputs/${RUN}/names/${path(name)}${query}`,
        })),
        { target: `/outputs/${RUN}/names/${path(name)}`, fields: ['Range: bytes=0-3'] },
        { target: `/outputs/${RUN}/names/${path(name)}`, fields: ['Range: bytes=0-1,3-4'] },
        { target: `/outputs/${RUN}/names/${path(name)}`, method: 'HEAD' },
        { target: `/outputs/${RUN}/names/${path(`folder ${name}`)}` },
        ...['format=html', 'format=json', 'format=text', 'archive=zip', 'archive=tar.gz'].map(query => ({
          target: `/outputs/${RUN}/names/${path(`folder ${name}`)}/?${query}`,
        })),
        { target: `/outputs/${RUN}/names/?format=html&limit=1&glob=${path(`*${name.slice(-3)}`)}` },
        ...['artifact?path=', 'artifact?stream=true&path=', 'embedded_artifact?path=', 'artifacts?path='].map(
          resource => ({ target: `${STREAMS}/${resource}${path(`names/${name}`)}` }),
        ),
        { target: `${STREAMS}/ro_artifact/names/${path(name)}` },
        { target: `${STREAMS}/artifact?render=true&path=${path(`names/${name}`)}` },
        { target: `${STREAMS}/events/metric?pkg_assets=true&names=loss,${path(name)}` },
        { target: `/api/v1/${RUN}/outputs/files?path=${path(`names/${name}`)}` },
      ])
      attacks.push(
        { target: `/outputs/${RUN}/names/?format=html` },
        { target: `/outputs/${RUN}/names/?format=html&recursive=true` },
        { target: `/outputs/${RUN}/names/?format=html&limit=1` },
        { target: `/outputs/${RUN}/names/`, fields: ['Accept: text/html'] },
        { target: `/outputs/${RUN}/names/?format=ndjson` },
        { target: `${STREAMS}/artifacts/tree?path=names` },
        { target: `/api/v1/${RUN}/outputs/tree?path=names` },
      )
      const answers = await strikeAll(victim(), attacks)
      for (const [i, answer] of answers.entries()) {
        expectInert(answer, attacks[i]!.target)
        const disposition = answer.headers.get('content-disposition') ?? ''
        // One plain name, in quotes, at the end.
        if (disposition !== '')
          expect(disposition).toMatch(
            /^(inline|attachment)(; filename\*=UTF-8''[\w.!#$&+^`|~%-]+)?; filename="[^"\\]+"$/,
          )
        expect(answer.headers.get('location') ?? './').toMatch(/^\.\//)
        if (answer.headers.get('link') !== undefined)
          expect(answer.headers.get('link')).toMatch(/^<[^<>"\s]+>; rel="next"$/)
      }
      const found = answers.filter(({ status, text: body }) => status < 300 && body.includes(INSIDE))
      expect(found.length).toBeGreaterThan(2)
      await victim().restore()
    })

    it('is only a name in the answer to a change', async () => {
      const changes: Attack[] = [
        { method: 'POST', target: `/outputs/${RUN}/inside.txt?copyTo=${path(`copies/${text}`)}`, body: '' },
        { method: 'PUT', target: `/outputs/${RUN}/${path(text)}`, body: INSIDE },
        {
          method: 'POST',
          target: `/outputs/${RUN}/`,
          fields: [`Content-Type: ${FORM_TYPE}`],
          body: form(filePart(text.replaceAll('"', '%22'), INSIDE), fieldPart(text, text)),
        },
        {
          method: 'POST',
          target: '/uploads',
          fields: [
            'Tus-Resumable: 1.0.0',
            'Upload-Length: 1',
            `Upload-Metadata: ${metadataOf({ path: `${RUN}/${text}`, filename: text, filetype: text })}`,
          ],
          body: '',
        },
      ]
      for (const answer of await strikeAll(victim(), changes))
        expect(answer.headers.get('location') ?? './').toMatch(/^(\.\.?\/)[\w.%~!$&'()*+,;=:@/-]*$/)
      await victim().restore()
    })
  })

  /** Everything by which a request could say for which host or scheme it is. */
  const HOSTS: readonly (readonly string[])[] = [
    ['X-Forwarded-Host: evil.example'],
    ['X-Forwarded-Proto: javascript', 'X-Forwarded-Host: evil.example'],
    ['Forwarded: for=evil.example;host=evil.example;proto=https'],
    ['X-Host: evil.example'],
    ['X-Original-URL: //evil.example/'],
    ['X-Rewrite-URL: http://evil.example/'],
    ['X-Forwarded-Prefix: //evil.example'],
    ['X-Forwarded-Path: //evil.example'],
    ['X-Request-Id: evil.example<script>'],
    ['Referer: http://evil.example/'],
    ['User-Agent: evil.example'],
  ]

  it.each(['evil.example', ...HOSTS.map(fields => fields.join(', '))])(
    'a host is in no address and in no page: %s',
    async what => {
      const fields = HOSTS.find(each => each.join(', ') === what)
      const attacks: Attack[] = [
        ...['/', '/outputs', '/docs', `/outputs/${RUN}`, `/outputs/${RUN}/folder`, '/nothing'].map(
          target => ({ target }),
        ),
        ...['html', 'json', 'ndjson'].map(format => ({
          target: `/outputs/${RUN}/?format=${format}&limit=1`,
        })),
        ...READING.map(place => place.ask(place.fair)),
        { method: 'POST', target: `/outputs/${RUN}/inside.txt?copyTo=copy.txt`, body: '' },
        {
          method: 'POST',
          target: '/uploads',
          fields: [
            'Tus-Resumable: 1.0.0',
            'Upload-Length: 1',
            `Upload-Metadata: ${metadataOf({ path: `${RUN}/new.txt` })}`,
          ],
          body: '',
        },
      ]
      const sent = attacks.map(attack =>
        fields === undefined
          ? { ...attack, host: 'evil.example' }
          : { ...attack, fields: [...(attack.fields ?? []), ...fields] },
      )
      for (const { headers, text } of await strikeAll(victim(), sent))
        expect([...headers.values(), text].join('\n')).not.toContain('evil.example')
      await victim().restore()
    },
  )

  /** Files that a browser would run something of, by what shows them. */
  const PAGES = [
    'page.html',
    'page.htm',
    'page.xhtml',
    'image.svg',
    'data.xml',
    'style.xsl',
    'mail.mhtml',
    'a.js',
    'no-ending',
  ]

  it.each(PAGES)('an artifact does nothing in a browser, whatever flag asks for it: %s', async name => {
    const page = `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script>${INSIDE}</html>`
    for (const run of [RUN, UUID]) await victim().write(`root/${run}/${name}`, page)
    const fields = [
      [],
      ['Range: bytes=0-9'],
      ['Range: bytes=0-3,9-12'],
      ['Accept: text/html'],
      ['If-Match: *'],
    ]
    const targets = [
      ...['', '?download=true', '?download=false', '?redirect=false'].map(
        query => `/outputs/${RUN}/${name}${query}`,
      ),
      ...['artifact?path=', 'artifact?stream=true&path=', 'embedded_artifact?path=', 'ro_artifact/'].map(
        resource => `${STREAMS}/${resource}${name}`,
      ),
      `${STREAMS}/artifacts?check_path=true&path=${name}`,
      `${STREAMS}/artifact?stream=true&inline=true&type=text/html&content_type=text/html&mimetype=text/html&path=${name}`,
      `/api/v1/${RUN}/outputs/files?path=${name}`,
    ]
    const answers = await strikeAll(
      victim(),
      targets.flatMap(target =>
        fields.flatMap(each => [
          { target, fields: each },
          { target, fields: each, method: 'HEAD' },
        ]),
      ),
    )
    for (const { status, headers } of answers) {
      expect([200, 206]).toContain(status)
      expect(headers.get('content-security-policy')).toBe('sandbox')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      if (name === 'no-ending') expect(headers.get('content-type')).not.toMatch(/html|xml|script/)
    }
    await victim().restore()
  })

  it('a client chooses no type for what it uploads', async () => {
    const type = 'Content-Type: text/html'
    const metadata = metadataOf({ path: `${RUN}/typed.bin`, filetype: 'text/html', contentType: 'text/html' })
    const uploads: Attack[] = [
      { method: 'PUT', target: `/outputs/${RUN}/typed.bin`, fields: [type], body: '<script>' },
      {
        method: 'POST',
        target: '/uploads',
        fields: [
          'Tus-Resumable: 1.0.0',
          'Upload-Length: 8',
          'Content-Type: application/offset+octet-stream',
          `Upload-Metadata: ${metadata}`,
        ],
        body: '<script>',
      },
    ]
    for (const upload of uploads) {
      expect((await strike(victim(), upload)).status).toBeLessThan(300)
      const { headers } = await strike(victim(), { target: `/outputs/${RUN}/typed.bin` })
      expect(headers.get('content-type')).toBe('application/octet-stream')
    }
    await victim().restore()
  })

  it.each([
    [
      'a script in Markdown',
      { cell_type: 'markdown', source: '<script>alert(1)</script><img src=x onerror=alert(1)>' },
    ],
    [
      'a link to a script',
      {
        cell_type: 'markdown',
        source: '[x](javascript:alert(1)) ![y](javascript:alert(1)) <a href="java&#115;cript:alert(1)">',
      },
    ],
    [
      'code',
      { cell_type: 'code', source: '</code><script>alert(1)</script>', outputs: [], execution_count: 1 },
    ],
    [
      'an output of HTML',
      {
        cell_type: 'code',
        source: '',
        execution_count: 1,
        outputs: [
          {
            output_type: 'display_data',
            data: { 'text/html': '<script>alert(1)</script><svg onload=alert(1)>' },
            metadata: {},
          },
          { output_type: 'stream', name: '"><script>', text: '<script>alert(1)</script>' },
          {
            output_type: 'error',
            ename: '<script>',
            evalue: '<img src=x onerror=alert(1)>',
            traceback: ['<svg onload=alert(1)>'],
          },
        ],
      },
    ],
    [
      'an image that is none',
      {
        cell_type: 'code',
        source: '',
        execution_count: '<script>',
        outputs: [
          {
            output_type: 'display_data',
            metadata: { 'image/png': { width: '"><script>' } },
            data: {
              'image/png': '"><script>alert(1)</script>',
              'image/svg+xml': '<svg onload=alert(1)><script>alert(1)</script></svg>',
            },
          },
        ],
      },
    ],
  ])('a notebook that is rendered runs nothing: %s', async (_title, cell) => {
    const notebook = {
      nbformat: 4,
      nbformat_minor: 5,
      metadata: { title: '<script>' },
      cells: [{ metadata: {}, ...cell }],
    }
    await victim().write(`root/${UUID}/evil.ipynb`, JSON.stringify(notebook))
    const answer = await strike(victim(), {
      target: `${STREAMS}/artifact?stream=true&render=true&path=evil.ipynb`,
    })
    expect(answer.headers.get('content-security-policy')).toBe('sandbox')
    if (answer.status === 200)
      expect(answer.text).not.toMatch(/<(script|img src=x|svg|iframe)|<[^>]* on\w+=|href="\s*java/i)
    await victim().restore()
  })
})
