// Whatever an operator pastes into a wrong field: no fault and no warning repeats an access key.
import fc from 'fast-check'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { STORE_FIELD_NAMES } from '../../src/config/store-fields.ts'

let cwd: string
beforeAll(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'confidential-')))
})
afterAll(() => rmSync(cwd, { recursive: true }))

/** Everything that a start would print. */
async function saidOf(env: Record<string, string>): Promise<string> {
  const loaded = await loadConfig({ argv: [], env: { ...env, SECRETS_PATH: cwd }, cwd })
  if (loaded.outcome === 'faults')
    return loaded.faults.map(({ where, problem }) => `${where}: ${problem}`).join('\n')
  return loaded.outcome === 'config' ? loaded.warnings.join('\n') : ''
}

const outputs = (store: object) => ({ POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({ data: store }) })
const agent = (connection: object) => ({ POLYAXON_AGENT_ARTIFACTS_STORE: JSON.stringify(connection) })

const letters = (alphabet: string, length: number) =>
  // Without the generator's preference for the first and last signs of an alphabet: no cloud gives out a key of forty times the same.
  fc
    .noBias(fc.array(fc.constantFrom(...alphabet.split('')), { minLength: length, maxLength: length }))
    .map(characters => characters.join(''))
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const ALPHANUMERIC = `${UPPER}${UPPER.toLowerCase()}0123456789`

/** The forms in which clouds give out keys. An absolute path is told apart from none of them by its first sign. */
const key = fc.oneof(
  letters(`${ALPHANUMERIC}+/`, 40),
  letters(`${ALPHANUMERIC}-_`, 40),
  letters(ALPHANUMERIC, 40),
  letters('0123456789abcdef', 32),
  letters('0123456789abcdef', 64),
  letters(`${UPPER}234567`, 16).map(rest => `AKIA${rest}`),
  letters(`${ALPHANUMERIC}+/`, 86).map(text => `${text}==`),
)
const pastedKey = key.filter(text => !text.startsWith('/'))

const wrapped = fc.tuple(
  pastedKey,
  fc.constantFrom(
    (text: string) => text,
    (text: string) => `s3://${text}`,
    (text: string) => `s3://AKIAIOSFODNN7EXAMPLE:${text}@bucket`,
    (text: string) => `http://user:${text}@host`,
    (text: string) => `user:${text}@host`,
    (text: string) => `https://${text}@host`,
    (text: string) => `https://host/?sig=${text}`,
    (text: string) =>
      `DefaultEndpointsProtocol=https;AccountName=a;AccountKey=${text};EndpointSuffix=core.windows.net`,
    (text: string) => `sv=2024-01-01&sig=${encodeURIComponent(text)}`,
    (text: string) => `{"AWS_SECRET_ACCESS_KEY": "${text}"}`,
  ),
)

const KINDS = [
  { mountPath: '/not/there' },
  { store: 's3', bucket: 's3://b-1' },
  { store: 'gcs', bucket: 'gs://b-1' },
  { store: 'azure', bucket: 'wasbs://c-1@account1.blob.core.windows.net' },
]

const isRepeated = (said: string, text: string) =>
  said.includes(text) || said.includes(encodeURIComponent(text))

describe('an access key', () => {
  it('is not repeated, whichever field of a store it was pasted into', async () => {
    await fc.assert(
      fc.asyncProperty(
        wrapped,
        fc.constantFrom(...STORE_FIELD_NAMES),
        fc.constantFrom(...KINDS),
        async ([text, wrap], field, store) => {
          const more = field === 'secret' ? { secretKey: 'k' } : field === 'secretKey' ? { secret: 's' } : {}
          expect(isRepeated(await saidOf(outputs({ ...store, ...more, [field]: wrap(text) })), text)).toBe(
            false,
          )
        },
      ),
      { numRuns: 1500 },
    )
  })

  it('is not repeated, whichever field of a connection it was pasted into', async () => {
    const places: ((text: string) => object)[] = [
      text => ({ kind: text }),
      text => ({ secret: text }),
      text => ({ secret: { name: text } }),
      text => ({ secret: { name: 'keys', items: [text] } }),
      text => ({ secret: { name: 'keys', mountPath: text } }),
      text => ({ configMap: { name: text } }),
      text => ({ env: text }),
      text => ({ env: [text] }),
      text => ({ env: [{ name: text, value: '' }] }),
      text => ({ env: [{ name: 'AWS_ACCESS_KEY_ID', value: text }] }),
      text => ({ schema: text }),
      text => ({ schema: { bucket: text } }),
      text => ({ schema: { bucket: 's3://b-1', kind: text } }),
    ]
    await fc.assert(
      fc.asyncProperty(wrapped, fc.constantFrom(...places), async ([text, wrap], place) => {
        const connection = { name: 'data', kind: 's3', schema: { bucket: 's3://b-1' }, ...place(wrap(text)) }
        expect(isRepeated(await saidOf(agent(connection)), text)).toBe(false)
        const among = { POLYAXON_AGENT_CONNECTIONS: JSON.stringify([connection]) }
        expect(isRepeated(await saidOf(among), text)).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it('is not repeated from a variable that should hold a setting or JSON', async () => {
    const variables = [
      'POLYAXON_PERSISTENCE_OUTPUTS',
      'POLYAXON_AGENT_CONNECTIONS',
      'PORT',
      'HOST',
      'BASE_PATH',
      'LOG_LEVEL',
      'STORE_DEADLINE',
    ]
    await fc.assert(
      fc.asyncProperty(wrapped, fc.constantFrom(...variables), async ([text, wrap], variable) => {
        expect(isRepeated(await saidOf({ [variable]: wrap(text) }), text)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['bucket', 's3://AKIA:wJalr/K7/bPxSECRET@bucket'],
    ['bucket', 'AccountName=a;AccountKey=SECRET=='],
    ['bucket', 'https://account1.blob.core.windows.net/c?sig=SECRET'],
    ['endpoint', 'http://user:pa/ssSECRET@host'],
    ['endpoint', 'user:ssSECRET@host'],
    ['endpoint', 'https://ssSECRET@host'],
    ['secret', 'my/SECRET/key'],
    ['region', 'SECRET/region'],
    ['kmsKeyId', 'SECRET key'],
    ['caFile', 'wJalrXUtn/K7MDENG/bPxRfiCYSECRETKEY/x3Ab'],
  ])('is not repeated even where it is short: %s', async (field, text) => {
    const said = await saidOf(outputs({ store: 's3', bucket: 's3://b-1', secretKey: 'k', [field]: text }))
    expect(said).toContain(`data.${field}: `)
    expect(said).not.toContain('SECRET')
  })

  it.each([
    ['s3://Company-Outputs/runs', "'s3://Company-Outputs/runs' has a name"],
    [
      'wasbs://two--dashes@account1.blob.core.windows.net/',
      "'wasbs://…@account1.blob.core.windows.net/' has a name",
    ],
  ])(
    'is not seen in the place of a bucket, of which the fault shows what is harmless: %s',
    async (bucket, shown) => {
      const store = bucket.startsWith('s3') ? 's3' : 'azure'
      expect(await saidOf(outputs({ store, bucket }))).toContain(`data.bucket: ${shown}`)
    },
  )
})
