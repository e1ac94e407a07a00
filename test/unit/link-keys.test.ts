// The file of keys that sign links: what is a fault in it, none of which repeats a secret.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseLinkKeys } from '../../src/config/link-keys.ts'
import { loadConfig } from '../../src/config/load.ts'

const SECRET = Buffer.alloc(32, 7).toString('base64')
const KEY = `{id: a, secret: '${SECRET}'}`

describe('a file of keys', () => {
  it('has its keys in order', () => {
    const other = Buffer.alloc(64, 8).toString('base64url')
    const { keys, faults } = parseLinkKeys(
      `keys:\n  - {id: b-1, secret: ${other}, retired: true}\n  - ${KEY}`,
      'f',
    )
    expect(faults).toEqual([])
    expect(keys.map(({ id, secret, isRetired }) => [id, secret.length, isRetired])).toEqual([
      ['b-1', 64, true],
      ['a', 32, false],
    ])
  })

  it.each<[text: string, fault: RegExp]>([
    ['', /map/],
    ['keys: [', /./],
    [`[${KEY}]`, /map/],
    ['keys: []', /at least one/],
    ['keys: x', /list/],
    [`keys: [${KEY}]\nmore: 1`, /more/],
    [`keys: [{id: a, secret: '${SECRET}', retired: true}]`, /not retired/],
    [`keys: [${KEY}, ${KEY}]`, /two keys/],
    [`keys: [{secret: '${SECRET}'}]`, /id/],
    [`keys: [{id: a}]`, /secret/],
    [`keys: [{id: a.b, secret: '${SECRET}'}]`, /id/],
    [`keys: [{id: '', secret: '${SECRET}'}]`, /id/],
    [`keys: [{id: ${'a'.repeat(33)}, secret: '${SECRET}'}]`, /id/],
    [`keys: [{id: a, secret: '${Buffer.alloc(31, 7).toString('base64')}'}]`, /32 bytes/],
    [`keys: [{id: a, secret: 'hunter2 hunter2 hunter2 hunter2 hunter2 hunter2'}]`, /32 bytes/],
    [`keys: [{id: a, secret: '${SECRET}', retired: maybe}]`, /retired/],
    [`keys: [{id: a, secret: '${SECRET}', expires: 1}]`, /expires/],
  ])('%j is a fault', (text, expected) => {
    const { faults } = parseLinkKeys(text, 'keys.yaml')
    const shown = faults.map(({ where, problem }) => `${where}: ${problem}`).join('\n')
    expect(shown).toMatch(expected)
    expect(shown).toContain('keys.yaml')
    expect(shown).not.toMatch(/hunter2|BwcHBw/)
  })
})

describe('the settings of links', () => {
  let cwd: string
  beforeAll(() => {
    cwd = mkdtempSync(join(tmpdir(), 'link-keys-'))
    writeFileSync(join(cwd, 'good.yaml'), `keys: [${KEY}]`)
    writeFileSync(join(cwd, 'bad.yaml'), 'keys: []')
  })
  afterAll(() => rmSync(cwd, { recursive: true }))

  const load = (env: Record<string, string>) =>
    loadConfig({ argv: [], env: { OUTPUTS_PATH: cwd, ...env }, cwd })

  it('name the file from the working directory on', async () => {
    expect(await load({ AUTH_LINKS_KEYS_FILE: 'good.yaml', AUTH_LINKS_MAX_AGE: '24h' })).toMatchObject({
      config: { auth: { links: { keysFile: join(cwd, 'good.yaml'), maxAgeMs: 86_400_000 } } },
    })
  })

  it.each(['bad.yaml', 'missing.yaml', '.'])('with the file %s are a fault at the start', async file => {
    const loaded = await load({ AUTH_LINKS_KEYS_FILE: file })
    expect(loaded).toMatchObject({ outcome: 'faults', faults: [{}] })
  })

  it('let nobody in by themselves', async () => {
    const loaded = await load({ AUTH_LINKS_KEYS_FILE: 'good.yaml', HOST: '0.0.0.0' })
    expect(loaded).toMatchObject({ faults: [{ where: 'HOST' }] })
  })
})
