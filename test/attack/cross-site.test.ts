// What a page of another site makes a browser send: no route of any surface changes anything for it, and no header or parameter makes a change of a request that reads.
import { describe, expect, it } from 'vitest'
import { CHANGING, READING } from './places.ts'
import { strike, strikeAll, type Attack } from './strike.ts'
import { describeVictims, RUN } from './victim.ts'

/** By Fetch's and HTML's rules a browser sends one of these, and no page can change it (CVE-2021-46398). */
const FOREIGN: readonly (readonly string[])[] = [
  ['Sec-Fetch-Site: cross-site'],
  ['Sec-Fetch-Site: same-site'],
  ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
  ['Origin: null'],
  ['Origin: http://evil.example'],
  ['Origin: https://evil.example', 'Sec-Fetch-Site: same-origin'],
  ['Origin: http://localhost', 'Sec-Fetch-Site: cross-site'],
  ['Origin: http://localhost.evil.example'],
  ['Origin: http://evil.example#localhost'],
  ['Origin: http://localhost:1'],
  ['Origin: http://localhost@evil.example'],
  ['Origin: http://evil.example', 'X-Forwarded-Host: evil.example'],
  ['Origin: http://evil.example', 'Forwarded: host=evil.example'],
  ['Origin: http://evil.example', 'X-Requested-With: XMLHttpRequest'],
  ['Origin: file://'],
  ['Origin: app://localhost'],
  ['Origin: chrome-extension://abcdef'],
]

const OVERRIDES = [
  'X-HTTP-Method-Override: DELETE',
  'X-HTTP-Method: DELETE',
  'X-Method-Override: DELETE',
  'X-Original-Method: DELETE',
  `X-Original-URL: /outputs/${RUN}/inside.txt`,
  `X-Rewrite-URL: /outputs/${RUN}/inside.txt`,
]

const withFields = (attack: Attack, fields: readonly string[]): Attack => ({
  ...attack,
  fields: [...(attack.fields ?? []), ...fields],
})

function withMethod(attack: Attack): Attack[] {
  const mark = attack.target.includes('?') ? '&' : '?'
  const target = `${attack.target}${mark}_method=DELETE&method=DELETE&recursive=true`
  const form = { target, fields: ['Content-Type: application/x-www-form-urlencoded'], body: '_method=DELETE' }
  return [
    { ...attack, target },
    { ...form, method: 'POST' },
    { ...form, method: 'GET' },
  ]
}

describeVictims((victim, isRemote) => {
  describe.each(CHANGING)('$title', place => {
    it('changes nothing for a page of another site', async () => {
      const attack = place.ask(place.fair)
      const answers = await strikeAll(
        victim(),
        FOREIGN.map(fields => withFields(attack, fields)),
      )
      for (const [i, { status, text }] of answers.entries()) {
        expect([FOREIGN[i], status]).toEqual([FOREIGN[i], 403])
        expect(text).toContain('another site')
      }
      expect(await victim().isChanged()).toBe(false)
    })

    it('does what a page of its own asks for', async () => {
      const own = ['Origin: http://localhost', 'Sec-Fetch-Site: same-origin']
      const { status } = await strike(victim(), withFields(place.ask(place.fair), own))
      expect([200, 201, 204]).toContain(status)
      expect(await victim().isChanged()).toBe(true)
      await victim().restore()
    })
  })

  describe('a resumable upload', () => {
    it.each(['HEAD', 'PATCH', 'DELETE'])('goes not on for a page of another site: %s', async method => {
      const begun = await strike(victim(), {
        method: 'POST',
        target: '/uploads',
        fields: [
          'Tus-Resumable: 1.0.0',
          'Upload-Length: 1',
          `Upload-Metadata: path ${Buffer.from(`${RUN}/new.txt`).toString('base64')}`,
        ],
        body: '',
      })
      expect(begun.status).toBe(201)
      const attack = {
        method,
        target: begun.headers.get('location')!.slice(1),
        fields: ['Tus-Resumable: 1.0.0', 'Upload-Offset: 0', 'Content-Type: application/offset+octet-stream'],
        ...(method === 'PATCH' && { body: 'x' }),
      }
      const answers = await strikeAll(
        victim(),
        FOREIGN.map(fields => withFields(attack, fields)),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([403]))
      expect(await victim().isChanged()).toBe(false)
      // It is all still there for whoever began it.
      expect((await strike(victim(), { ...attack, method: 'DELETE' })).status).toBe(204)
    })
  })

  describe.skipIf(isRemote).each(READING)('$title', place => {
    it('is made into no change by a header or a parameter', async () => {
      const attack = place.ask(place.fair)
      await strikeAll(victim(), [
        ...OVERRIDES.map(field => withFields(attack, [field])),
        ...OVERRIDES.map(field => ({
          method: 'POST',
          ...withFields(attack, [field]),
          body: attack.body ?? '',
        })),
        ...withMethod(attack),
      ])
      expect(await victim().isChanged()).toBe(false)
    })

    it('lets no page of another site read its answer', async () => {
      const attack = place.ask(place.fair)
      const answers = await strikeAll(victim(), [
        ...FOREIGN.slice(0, 6).map(fields => withFields(attack, fields)),
        {
          target: attack.target,
          method: 'OPTIONS',
          fields: ['Origin: http://evil.example', 'Access-Control-Request-Method: DELETE'],
        },
      ])
      for (const { headers } of answers)
        for (const name of headers.keys()) expect(name).not.toMatch(/^access-control-/)
    })
  })
})
