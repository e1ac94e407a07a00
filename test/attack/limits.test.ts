// Ranges, sizes, depths, patterns and names of what every object has: whatever is sent, the answer is small, quick and no failure.
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Connection } from '../faults/connection.ts'
import { fieldPart, filePart, form, FORM_TYPE, MALFORMED } from '../support/form.ts'
import { metadataOf } from '../support/uploading.ts'
import { CHANGING, READING } from './places.ts'
import { bytesOf, expectHarmless, parseAnswers, strike, strikeAll, type Attack } from './strike.ts'
import { describeVictims, INSIDE, RUN, UUID, type Victim } from './victim.ts'

const OUTPUTS = `/outputs/${RUN}`
const STREAMS = `/streams/v1/default/ann/mnist/runs/${UUID}`
const KiB = 1024

const RANGES: readonly (readonly [title: string, range: string])[] = [
  ['of nothing', 'bytes='],
  ['without a unit', '0-1'],
  ['of another unit', 'lines=0-1'],
  ['without numbers', 'bytes=-'],
  ['from behind the end', 'bytes=999999-'],
  ['that ends before it begins', 'bytes=5-1'],
  ['of a suffix of nothing', 'bytes=-0'],
  ['of a suffix beyond the beginning', 'bytes=-99999999999999999999'],
  ['below zero (dufs#669)', 'bytes=-5--1'],
  ['beyond 2^31', 'bytes=0-2147483648'],
  ['beyond 2^53', 'bytes=0-9007199254740993'],
  ['beyond 2^64', 'bytes=18446744073709551616-18446744073709551617'],
  ['with very many digits', `bytes=${'9'.repeat(2000)}-`],
  ['with an exponent', 'bytes=0-1e9'],
  ['in hexadecimal', 'bytes=0x0-0xff'],
  ['with a fraction', 'bytes=0.5-1'],
  ['with a sign', 'bytes=+0-+1'],
  ['with blanks', 'bytes= 0 - 1 , 2 - 3'],
  ['of other digits', 'bytes=\u0660-\u0661'],
  ['that is many (CVE-2011-3192)', `bytes=${Array.from({ length: 1300 }, (_, i) => `5-${i}`).join(',')}`],
  [
    'that is many, each of one byte',
    `bytes=${Array.from({ length: 1500 }, (_, i) => `${i}-${i}`).join(',')}`,
  ],
  ['that is the whole, many times', `bytes=${'0-,'.repeat(3000)}0-`],
  ['that overlaps', 'bytes=0-5,1-6,2-7,3-8,4-9'],
  ['that goes backwards', 'bytes=9-9,8-8,7-7,6-6'],
  ['of commas', `bytes=${','.repeat(5000)}`],
  ['of hyphens', `bytes=${'-'.repeat(5000)}`],
  ['that is two fields', 'bytes=0-1\r\nRange: bytes=2-3'],
]

const RANGED = [
  `${OUTPUTS}/inside.txt`,
  `${OUTPUTS}/?archive=tar`,
  `${OUTPUTS}/?archive=zip`,
  `${OUTPUTS}/?archive=tar.gz`,
  `${STREAMS}/artifact?path=inside.txt`,
  `${STREAMS}/ro_artifact/inside.txt`,
  `/api/v1/${RUN}/outputs/files?path=inside.txt`,
  `/api/v1/${RUN}/logs`,
]

/** Whatever is asked of every object in JavaScript. */
const OF_OBJECTS = [
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'valueOf',
  '__defineGetter__',
]

const POLLUTIONS: readonly (readonly [title: string, attack: Attack])[] = OF_OBJECTS.flatMap(name => {
  const json = `{"paths":["inside.txt"],"${name}":{"polluted":1}}`
  const values = [
    ['a query', { target: `${OUTPUTS}/?${name}=polluted&${name}[polluted]=1` }],
    ['a query of the streams', { target: `${STREAMS}/artifacts/tree?${name}=polluted&${name}[polluted]=1` }],
    [
      'a query of the old API',
      { target: `/api/v1/${RUN}/outputs/tree?${name}=polluted&${name}[polluted]=1` },
    ],
    [
      'JSON',
      {
        method: 'POST',
        target: `${OUTPUTS}/?archive=tar`,
        fields: ['Content-Type: application/json'],
        body: json,
      },
    ],
    [
      'a list in JSON',
      {
        method: 'POST',
        target: `${OUTPUTS}/?archive=tar`,
        fields: ['Content-Type: application/json'],
        body: `{"paths":["${name}"]}`,
      },
    ],
    [
      'a form',
      {
        method: 'POST',
        target: `${OUTPUTS}/?archive=tar`,
        fields: ['Content-Type: application/x-www-form-urlencoded'],
        body: `path=inside.txt&${name}[polluted]=1&${name}=polluted`,
      },
    ],
    [
      'a form with files',
      {
        method: 'POST',
        target: `${OUTPUTS}/`,
        fields: [`Content-Type: ${FORM_TYPE}`],
        body: form(
          fieldPart(`${name}[polluted]`, '1'),
          fieldPart(`a[${name}][polluted]`, '1'),
          filePart('x', 'x', name),
        ),
      },
    ],
    [
      'the form of the streams',
      {
        method: 'POST',
        target: `${STREAMS}/artifact`,
        fields: [`Content-Type: ${FORM_TYPE}`],
        body: form(
          fieldPart(`${name}[polluted]`, '1'),
          filePart('x', 'x', 'upload_file'),
          fieldPart('json', `{"untar":false,"${name}":{"untar":true,"path":"polluted"}}`),
        ),
      },
    ],
    [
      'metadata of tus',
      {
        method: 'POST',
        target: '/uploads',
        fields: [
          'Tus-Resumable: 1.0.0',
          'Upload-Length: 1',
          `Upload-Metadata: ${name} ${Buffer.from('polluted').toString('base64')},${metadataOf({ path: `${RUN}/new.txt` })}`,
        ],
        body: '',
      },
    ],
    ['a resource of the streams', { target: `${STREAMS}/${name}` }],
    ['a resource with a tail', { target: `${STREAMS}/${name}/x` }],
    [
      'a method of a resource',
      { target: `${STREAMS}/artifact?path=inside.txt`, method: name.toUpperCase().replaceAll('_', '') },
    ],
    ['a resource of the old API', { target: `/api/v1/${RUN}/${name}` }],
    [
      'an algorithm of tus',
      {
        method: 'PATCH',
        target: `/uploads/${'0'.repeat(8)}-${'0'.repeat(32)}`,
        fields: ['Tus-Resumable: 1.0.0', 'Upload-Offset: 0', `Upload-Checksum: ${name} AAAA`],
        body: '',
      },
    ],
    [
      'a digest',
      {
        method: 'PUT',
        target: `${OUTPUTS}/new.txt`,
        fields: [`Repr-Digest: ${name}=:AAAA:`, `Content-Digest: ${name}=:AAAA:`],
        body: 'x',
      },
    ],
    ['a field of the head', { target: `${OUTPUTS}/inside.txt`, fields: [`${name}: polluted`] }],
  ] as const
  return values.map(([where, attack]) => [`${name} in ${where}`, attack] as const)
})

/** Patterns that take exponential or quadratic time where a matcher goes back and tries again. */
const PATTERNS: readonly (readonly [title: string, glob: string])[] = [
  ['stars between letters', `${'*a'.repeat(60)}b`],
  ['double stars', `${'**/'.repeat(60)}b`],
  ['double stars and letters', `${'**/a*/'.repeat(30)}b`],
  ['question marks and stars', `${'?*'.repeat(100)}b`],
  ['alternatives', `${'{a,aa}'.repeat(12)}b`],
  ['many alternatives', `{${Array.from({ length: 500 }, (_, i) => `a${i}`).join(',')}}*b`],
  ['nested alternatives', `${'{a,'.repeat(40)}b${'}'.repeat(40)}`],
  ['sets', `${'[a-z]*'.repeat(60)}0`],
  ['a set that does not end', `[${'a'.repeat(400)}`],
  ['an expression', '(a+)+$'],
  ['an expression of a set', '([a-zA-Z]+)*b'],
  ['extended patterns', `${'+(a|aa)'.repeat(20)}b`],
  ['backslashes', '\\'.repeat(999)],
  ['braces', '{'.repeat(500)],
  ['a range of numbers', '{1..999999999}'],
]

const DEEP = 50_000
const SIZES: readonly (readonly [title: string, attack: Attack])[] = [
  ['a path of 30 KB', { target: `${OUTPUTS}/${'a/'.repeat(15 * KiB)}` }],
  ['a path of 30 KB without slashes', { target: `${OUTPUTS}/${'a'.repeat(30 * KiB)}` }],
  ['a path of 200 KB', { target: `${OUTPUTS}/${'a'.repeat(200 * KiB)}` }],
  ['escapes of 30 KB', { target: `${OUTPUTS}/${'%2e'.repeat(10 * KiB)}` }],
  ['slashes of 30 KB', { target: `/outputs${'/'.repeat(30 * KiB)}` }],
  ['slashes and dots of 30 KB', { target: `/outputs${'/.'.repeat(15 * KiB)}` }],
  ['slashes below the streams', { target: `/streams/v1${'/'.repeat(30 * KiB)}` }],
  ['slashes below the old API', { target: `/api/v1${'/'.repeat(30 * KiB)}` }],
  [
    'an id of an upload of 30 KB',
    {
      target: `/uploads/${'0'.repeat(30 * KiB)}`,
      fields: ['Tus-Resumable: 1.0.0'],
      method: 'PATCH',
      body: '',
    },
  ],
  ['5,000 parameters', { target: `${OUTPUTS}/?${'a=1&'.repeat(5000)}` }],
  ['5,000 paths', { target: `${OUTPUTS}/?archive=tar&${'path=a&'.repeat(5000)}` }],
  ['5,000 empty parameters', { target: `${OUTPUTS}/?${'&'.repeat(25_000)}` }],
  ['nested parameters (GHSA-w7fw-mjwx-w883)', { target: `${OUTPUTS}/?a${'[b]'.repeat(5000)}=1` }],
  ['parameters of the streams', { target: `${STREAMS}/artifacts/tree?${'path=a&'.repeat(4000)}` }],
  ['names of events', { target: `${STREAMS}/events/metric?names=${'a,'.repeat(10_000)}` }],
  [
    'names of resources',
    { target: `${STREAMS}/resources?names=${Array.from({ length: 100 }, (_, i) => i).join(',')}` },
  ],
  [
    'runs',
    {
      target: `/streams/v1/default/ann/mnist/runs/multi/events/metric?names=loss&runs=${Array.from({ length: 50 }, (_, i) => i.toString(16).padStart(32, '0')).join(',')}`,
    },
  ],
  ['a sample beyond all numbers', { target: `${STREAMS}/events/metric?names=loss&sample=999999999999999` }],
  ['a time beyond all times', { target: `${STREAMS}/logs?last_time=+275760-09-13T00:00:00.001Z` }],
  ['a time that is a number', { target: `${STREAMS}/logs?last_time=${'9'.repeat(4000)}` }],
  ['a limit beyond all numbers', { target: `${OUTPUTS}/?limit=${'9'.repeat(300)}` }],
  ['a cursor of 20 KB', { target: `${OUTPUTS}/?cursor=${'A'.repeat(20 * KiB)}` }],
  ...[
    '{"a":1}',
    '[]',
    'null',
    '{"v":1,"sort":"name","order":"asc","key":"../../10"}',
    '["../../10","name"]',
  ].map(
    cursor =>
      [
        'a cursor of JSON',
        { target: `${OUTPUTS}/?format=json&cursor=${Buffer.from(cursor).toString('base64url')}` },
      ] as const,
  ),
  [
    '3,000 fields',
    { target: `${OUTPUTS}/inside.txt`, fields: Array.from({ length: 3000 }, (_, i) => `X-${i}: y`) },
  ],
  ['a field of 60 KB', { target: `${OUTPUTS}/inside.txt`, fields: [`X: ${'x'.repeat(60 * KiB)}`] }],
  ['a field of 200 KB', { target: `${OUTPUTS}/inside.txt`, fields: [`X: ${'x'.repeat(200 * KiB)}`] }],
  ['tags', { target: `${OUTPUTS}/inside.txt`, fields: [`If-None-Match: ${'"a",'.repeat(5000)}`] }],
  [
    'tags that do not end',
    { target: `${OUTPUTS}/inside.txt`, fields: [`If-None-Match: ${'W/"'.repeat(5000)}`] },
  ],
  ['types', { target: `${OUTPUTS}/`, fields: [`Accept: ${'a/b;q=0.5;c="d",'.repeat(1000)}`] }],
  ['digests', { target: `${OUTPUTS}/inside.txt`, fields: [`Want-Repr-Digest: ${'sha-256=('.repeat(2000)}`] }],
  ['a cookie', { target: `${OUTPUTS}/inside.txt`, fields: [`Cookie: ${'a=b; '.repeat(5000)}`] }],
  [
    'credentials',
    { target: `${OUTPUTS}/inside.txt`, fields: [`Authorization: Bearer ${'a.'.repeat(10_000)}`] },
  ],
  ['a date', { target: `${OUTPUTS}/inside.txt`, fields: [`If-Modified-Since: ${'9'.repeat(5000)}`] }],
  [
    'a list that is deep',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/json'],
      body: '['.repeat(DEEP) + ']'.repeat(DEEP),
    },
  ],
  [
    'an object that is deep',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/json'],
      body: `${'{"paths":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`,
    },
  ],
  [
    'a body of 2 MB',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/json'],
      body: `{"paths":["${'a'.repeat(2 * KiB * KiB)}"]}`,
    },
  ],
  [
    'a body of 64 MB in 64 KB',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/json', 'Content-Encoding: gzip'],
      body: gzipSync(Buffer.alloc(64 * KiB * KiB, ' ')),
    },
  ],
  [
    'a body in another character set',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/json; charset=utf-7'],
      body: '{"paths":["a"]}',
    },
  ],
  [
    'a number of very many digits',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/json'],
      body: `{"paths":[${'9'.repeat(100_000)}]}`,
    },
  ],
  [
    'fields of a form (CVE-2024-45590)',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/x-www-form-urlencoded'],
      body: `path${'[a]'.repeat(20_000)}=b&`.repeat(5),
    },
  ],
  [
    '100,000 fields of a form',
    {
      method: 'POST',
      target: `${OUTPUTS}/?archive=tar`,
      fields: ['Content-Type: application/x-www-form-urlencoded'],
      body: 'path=a&'.repeat(100_000),
    },
  ],
  [
    'paths to delete',
    {
      method: 'POST',
      target: `${OUTPUTS}/?delete`,
      fields: ['Content-Type: application/json'],
      body: JSON.stringify({ paths: Array.from({ length: 20_000 }, (_, i) => `n${i}`) }),
    },
  ],
  [
    'metadata of tus',
    {
      method: 'POST',
      target: '/uploads',
      fields: [
        'Tus-Resumable: 1.0.0',
        'Upload-Length: 1',
        `Upload-Metadata: ${Array.from({ length: 2000 }, (_, i) => `k${i} YQ==`).join(',')}`,
      ],
      body: '',
    },
  ],
  [
    'a length of tus beyond all',
    {
      method: 'POST',
      target: '/uploads',
      fields: [
        'Tus-Resumable: 1.0.0',
        `Upload-Length: ${'9'.repeat(300)}`,
        `Upload-Metadata: ${metadataOf({ path: `${RUN}/new.txt` })}`,
      ],
      body: '',
    },
  ],
  [
    'a length of tus below zero',
    {
      method: 'POST',
      target: '/uploads',
      fields: [
        'Tus-Resumable: 1.0.0',
        'Upload-Length: -1',
        `Upload-Metadata: ${metadataOf({ path: `${RUN}/new.txt` })}`,
      ],
      body: '',
    },
  ],
  [
    'JSON of the streams that is deep',
    {
      method: 'POST',
      target: `${STREAMS}/artifact`,
      fields: [`Content-Type: ${FORM_TYPE}`],
      body: form(filePart('x', 'x', 'upload_file'), fieldPart('json', '['.repeat(30_000))),
    },
  ],
]

describeVictims((victim, isRemote) => {
  describe.each(RANGES)('a range %s', (_title, range) => {
    it.each(isRemote ? RANGED.slice(0, 2) : RANGED)('of %s', async target => {
      const whole = await strike(victim(), { target })
      const answer = await strike(victim(), { target, fields: [`Range: ${range}`] })
      expect([200, 206, 400, 416, 431]).toContain(answer.status)
      // At most everything once, with a head for each of at most 16 parts.
      expect(answer.body.length).toBeLessThanOrEqual(2 * whole.body.length + 16 * 200)
    })
  })

  it.skipIf(isRemote).each(POLLUTIONS)('nothing is polluted by %s', async (_title, attack) => {
    await strike(victim(), attack)
    const after = await strikeAll(victim(), [
      { target: `${OUTPUTS}/?format=json` },
      { target: `${STREAMS}/artifacts/tree` },
      { target: `${OUTPUTS}/nothing` },
    ])
    expect(after.map(({ status }) => status)).toEqual([200, 200, 404])
    for (const { text } of after) expect(text).not.toContain('polluted')
    expect(JSON.stringify([...(await victim().look()).keys()])).not.toContain('polluted')
    await victim().restore()
  })

  it.each(OF_OBJECTS)('%s is a name like any other at every place', async name => {
    const answers = await strikeAll(
      victim(),
      READING.map(place => place.ask(name)),
    )
    for (const { text } of answers) expect(text).not.toMatch(/\[native code\]|\[object Object\]/)
    await strikeAll(
      victim(),
      CHANGING.map(place => place.ask(name)),
    )
    await victim().restore()
  })

  it.skipIf(isRemote).each(PATTERNS)('a pattern of %s takes no time', async (_title, glob) => {
    const name = 'a'.repeat(240)
    await victim().write(`root/${RUN}/patterns/${name}`, INSIDE)
    await victim().write(`root/${RUN}/patterns/${'a/'.repeat(60)}${name}`, INSIDE)
    const pattern = encodeURIComponent(glob)
    const started = performance.now()
    const answers = await strikeAll(victim(), [
      { target: `${OUTPUTS}/?format=text&recursive=true&glob=${pattern}` },
      { target: `${OUTPUTS}/?format=json&glob=${pattern}` },
      { target: `${OUTPUTS}/?archive=tar&glob=${pattern}` },
      { target: `${OUTPUTS}/?archive=tar&exclude=${pattern}` },
      {
        method: 'POST',
        target: `${OUTPUTS}/?archive=tar`,
        fields: ['Content-Type: application/json'],
        body: JSON.stringify({ paths: ['patterns/'], glob, exclude: glob }),
      },
    ])
    expect(performance.now() - started).toBeLessThan(3_000)
    for (const { status } of answers) expect([200, 400, 404, 414]).toContain(status)
    await victim().restore()
  })

  it.each(SIZES)('%s', async (_title, attack) => {
    const { status, body } = await strike(victim(), attack)
    expect(status).not.toBe(201)
    expect(body.length).toBeLessThan(4 * KiB * KiB)
    await victim().restore()
  })

  // CVE-2025-47935, -47944, -48997, -7338, CVE-2026-5079 of multer.
  it.skipIf(isRemote).each(MALFORMED)('a form that is none: $what', async ({ type = FORM_TYPE, body }) => {
    for (const target of [`${OUTPUTS}/`, `${STREAMS}/artifact`, `${STREAMS}/artifacts`])
      await strike(victim(), { method: 'POST', target, fields: [`Content-Type: ${type}`], body })
    await victim().restore()
  })
})

/** Bodies of which the beginning comes, and then nothing more. */
const STALLED: readonly (readonly [title: string, attack: Attack])[] = [
  ['a file', { method: 'PUT', target: `${OUTPUTS}/new.txt`, body: 'x' }],
  ['an archive', { method: 'PUT', target: `${OUTPUTS}/new/?unpack=tar`, body: 'x' }],
  [
    'a compressed archive',
    { method: 'PUT', target: `${OUTPUTS}/new/?unpack=tar.gz`, body: gzipSync('x').subarray(0, 12) },
  ],
  [
    'a form',
    {
      method: 'POST',
      target: `${OUTPUTS}/`,
      fields: [`Content-Type: ${FORM_TYPE}`],
      body: filePart('new.txt', 'x'),
    },
  ],
  [
    'a form of the streams',
    {
      method: 'POST',
      target: `${STREAMS}/artifact`,
      fields: [`Content-Type: ${FORM_TYPE}`],
      body: filePart('new.txt', 'x', 'upload_file'),
    },
  ],
  [
    'an upload of tus',
    {
      method: 'POST',
      target: '/uploads',
      fields: [
        'Tus-Resumable: 1.0.0',
        'Upload-Length: 1000',
        'Content-Type: application/offset+octet-stream',
        `Upload-Metadata: ${metadataOf({ path: `${RUN}/new.txt` })}`,
      ],
      body: 'x',
    },
  ],
]

describeVictims(
  victim => {
    it.each(STALLED)('a body that stalls is given up, and leaves nothing: %s', async (_title, attack) => {
      const whole = bytesOf(attack).toString('latin1')
      const sent = whole.replace(/Content-Length: \d+/, 'Content-Length: 1000')
      const answers = await Promise.all(Array.from({ length: 5 }, () => untilOver(victim(), sent)))
      for (const answer of answers) {
        for (const each of parseAnswers(answer)) expectHarmless(victim(), each, attack.target)
        expect(answer.toString('latin1')).toMatch(/^(HTTP\/1\.1 4\d\d |$)/)
      }
      expect(await victim().isChanged()).toBe(false)
      await victim().expectIntact('after a stall')
    })
  },
  { env: { UPLOADS_IDLE_TIMEOUT: '1s' }, only: title => title !== 'an object store in memory' },
)

/** All that comes back, others being answered meanwhile. */
async function untilOver({ port }: Victim, text: string): Promise<Buffer> {
  const connection = await Connection.open(port)
  const late = setTimeout(() => connection.destroy(), 8_000)
  const started = performance.now()
  connection.send(text)
  const { text: answer } = await connection.rest()
  clearTimeout(late)
  expect(performance.now() - started).toBeLessThan(7_500)
  return Buffer.from(answer, 'latin1')
}
