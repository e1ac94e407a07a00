// Access keys from real files and folders, as Kubernetes mounts and rotates them.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { layeredValues, readSecret, secretValue, type SecretReference } from '../../src/store/secret.ts'

let root: string
let folder: string
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'secret-')))
})
afterAll(() => rmSync(root, { recursive: true }))
beforeEach(() => {
  folder = mkdtempSync(join(root, 'mounted-'))
})

function refer(reference: Partial<SecretReference>): SecretReference {
  return { label: "the secret 'keys'", values: {}, files: [], ...reference }
}

/** Mounts `contents` the way the kubelet does: the files of a version, `..data` that leads to it, and links through that. */
function mountVersion(version: string, contents: Readonly<Record<string, string>>): void {
  mkdirSync(join(folder, version))
  for (const [key, text] of Object.entries(contents)) writeFileSync(join(folder, version, key), text)
  symlinkSync(version, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  for (const key of Object.keys(contents))
    if (!readdirSync(folder).includes(key)) symlinkSync(join('..data', key), join(folder, key))
}

async function failureOf(reference: SecretReference): Promise<AppError> {
  const error: unknown = await readSecret(reference).catch((reason: unknown) => reason)
  if (!(error instanceof AppError)) throw new Error(`expected an AppError, got ${String(error)}`)
  return error
}

describe('reading a secret', () => {
  it('gives what variables, files and the folder hold, later ones over earlier ones', async () => {
    writeFileSync(join(folder, 'b'), 'folder')
    const file = join(root, 'one')
    writeFileSync(file, 'file')
    const values = { a: 'variable', b: 'variable', c: 'variable' }
    const files = [
      { key: 'b', path: file },
      { key: 'c', path: file },
    ]
    expect(await readSecret(refer({ values, files, folder }))).toEqual({
      a: 'variable',
      b: 'folder',
      c: 'file',
    })
  })

  it('gives the members of a JSON object beside its text, and leaves other JSON alone', async () => {
    const text = '{"AWS_REGION": "eu", "ssl": true, "nested": {"n": 1}, "nothing": null}'
    writeFileSync(join(folder, 's3-key'), text)
    writeFileSync(join(folder, 'list'), '["a"]')
    writeFileSync(join(folder, 'broken'), '{"a":')
    expect(await readSecret(refer({ folder }))).toEqual({
      's3-key': text,
      AWS_REGION: 'eu',
      ssl: 'true',
      nested: '{"n":1}',
      list: '["a"]',
      broken: '{"a":',
    })
  })

  it('gives the members of a JSON object that a byte order mark precedes', async () => {
    writeFileSync(join(folder, 'keys.json'), '\u{feff}{"region": "member"}\n')
    expect((await readSecret(refer({ folder })))['region']).toBe('member')
  })

  it('prefers a value of its own to a member of the same name', async () => {
    writeFileSync(join(folder, 'all.json'), '{"region": "member"}')
    writeFileSync(join(folder, 'region'), 'own')
    expect((await readSecret(refer({ folder })))['region']).toBe('own')
  })

  it('lets a name replace its other spellings in earlier sources', async () => {
    writeFileSync(join(folder, 'keys.json'), '{"region": "secret"}')
    const values = await readSecret(refer({ values: { AWS_REGION: 'around' }, folder }))
    expect(secretValue(values, 'AWS_REGION', 'region')).toBe('secret')
  })

  it.each([
    ['value\n', 'value'],
    ['value\r\n', 'value'],
    ['value\n\n', 'value\n'],
    [' value ', ' value '],
    ['', ''],
    ['ключ', 'ключ'],
  ])('reads %j as %j', async (content, value) => {
    writeFileSync(join(folder, 'key'), content)
    expect(await readSecret(refer({ folder }))).toEqual({ key: value })
  })

  it('takes names that objects have of themselves as names', async () => {
    writeFileSync(join(folder, 'keys.json'), '{"__proto__": "a", "constructor": "b"}')
    const values = await readSecret(refer({ folder }))
    expect([secretValue(values, '__proto__'), secretValue(values, 'constructor')]).toEqual(['a', 'b'])
    expect(secretValue({}, 'constructor', '__proto__', 'toString')).toBeUndefined()
  })

  it('leaves hidden files, folders and pipes of a folder out, and waits for no writer', async () => {
    mountVersion('..2024_01', { key: 'value' })
    mkdirSync(join(folder, 'nested'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    expect(await readSecret(refer({ folder }))).toEqual({ key: 'value' })
  })

  it('reads a file of 1 MiB, and refuses a larger one', async () => {
    writeFileSync(join(folder, 'key'), 'x'.repeat(1024 ** 2))
    expect((await readSecret(refer({ folder })))['key']).toHaveLength(1024 ** 2)
    writeFileSync(join(folder, 'key'), 'x'.repeat(1024 ** 2 + 1))
    expect((await failureOf(refer({ folder }))).message).toContain('has a key of more than 1 MiB')
  })
})

describe('a rotated secret', () => {
  it('is read as it is now', async () => {
    mountVersion('..v1', { id: 'id-1', key: 'key-1' })
    const reference = refer({ files: ['id', 'key'].map(key => ({ key, path: join(folder, key) })) })
    expect(await readSecret(reference)).toEqual({ id: 'id-1', key: 'key-1' })
    mountVersion('..v2', { id: 'id-2', key: 'key-2' })
    rmSync(join(folder, '..v1'), { recursive: true })
    expect(await readSecret(reference)).toEqual({ id: 'id-2', key: 'key-2' })
  })

  it.each(['folder', 'files'] as const)(
    'is never read half from one version and half from the next, from a %s',
    async how => {
      const contents = (version: number) =>
        Object.fromEntries(Array.from({ length: 20 }, (_, key) => [`key-${key}`, String(version)]))
      mountVersion('..v0', contents(0))
      const reference =
        how === 'folder'
          ? refer({ folder })
          : refer({ files: Object.keys(contents(0)).map(key => ({ key, path: join(folder, key) })) })
      // One swap for each read, at every moment of it, now with and now without the old version deleted.
      for (let version = 1; version <= 160; version++) {
        const reading = readSecret(reference)
        for (let turn = 0; turn < version % 12; turn++) await setImmediate()
        mountVersion(`..v${version}`, contents(version))
        if (version % 5 === 0) rmSync(join(folder, `..v${version - 1}`), { recursive: true })
        expect(new Set(Object.values(await reading)).size).toBe(1)
      }
    },
  )
})

describe('a secret that cannot be read', () => {
  it.each([
    [
      'a missing file',
      () => refer({ files: [{ key: 'k', path: join(folder, 'gone') }] }),
      'is missing, or a key of it is',
    ],
    ['a missing folder', () => refer({ folder: join(folder, 'gone') }), 'is missing, or a key of it is'],
    [
      'a folder for a key',
      () => refer({ files: [{ key: 'k', path: folder }] }),
      'something else than a file',
    ],
  ])('is Unavailable for its credentials: %s', async (_, reference, problem) => {
    const error = await failureOf(reference())
    expect([error.kind, error.trouble, error.temporary]).toEqual(['Unavailable', 'credentials', false])
    expect(error.message).toContain("the secret 'keys'")
    expect(error.message).toContain(problem)
    expect(error.message).not.toContain(root)
  })

  it.skipIf(process.getuid?.() === 0)('says that it may not be read (not as root)', async () => {
    writeFileSync(join(folder, 'key'), 'value')
    chmodSync(join(folder, 'key'), 0)
    expect((await failureOf(refer({ folder }))).message).toContain('may not be read by this user')
  })
})

describe('looking up a value', () => {
  it.each([
    [{ AWS_ACCESS_KEY_ID: 'v' }, 'AWS_ACCESS_KEY_ID'],
    [{ aws_access_key_id: 'v' }, 'AWS_ACCESS_KEY_ID'],
    [{ access_key_id: 'v' }, 'AWS_ACCESS_KEY_ID'],
    [{ accessKeyId: 'v' }, 'AWS_ACCESS_KEY_ID'],
    [{ 'access-key-id': 'v' }, 'AWS_ACCESS_KEY_ID'],
    [{ awsaccesskeyid: 'v' }, 'awsAccessKeyId'],
    [{ POLYAXON_AWS_REGION: 'v' }, 'AWS_REGION'],
    [{ GOOGLE_PROJECT: 'v' }, 'GC_PROJECT'],
    [{ AZURE_STORAGE_SAS_TOKEN: 'v' }, 'sas_token'],
  ])('finds %j as %s', (values, name) => {
    expect(secretValue(values as unknown as Record<string, string>, name)).toBe('v')
  })

  it('takes names in order, and an empty value as none', () => {
    expect(secretValue({ b: '2', a: '1' }, 'a', 'b')).toBe('1')
    expect(secretValue({ a: '', b: '2' }, 'a', 'b')).toBe('2')
    expect(secretValue({ a: '' }, 'a')).toBeUndefined()
  })

  it("prefers the very name to that of another provider's key", () => {
    const values = { GOOGLE_ACCESS_KEY_ID: 'google', AWS_ACCESS_KEY_ID: 'aws' }
    expect(secretValue(values, 'aws_access_key_id')).toBe('aws')
    expect(secretValue({ AZURE_KEY: 'azure', key: 'bare' }, 'key')).toBe('bare')
  })

  it('finds nothing where there is nothing', () => {
    expect(secretValue({}, 'a')).toBeUndefined()
    expect(secretValue({ a: '1' })).toBeUndefined()
  })
})

it('combines sources the way it reads them, and combining again changes nothing', () => {
  const combined = layeredValues({ AWS_REGION: 'around' }, { 's3-key': '{"region": "held"}' })
  expect(combined).toEqual({ 's3-key': '{"region": "held"}', region: 'held' })
  expect(layeredValues(combined)).toEqual(combined)
})
