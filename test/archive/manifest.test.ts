import { describe, expect, it } from 'vitest'
import { buildManifest } from '../../src/content/manifest.ts'
import type { Selection } from '../../src/content/selection.ts'
import type { AppError } from '../../src/errors.ts'
import { isAppError, type ErrorKind } from '../../src/errors.ts'
import { parsePath, ROOT } from '../../src/store/path.ts'
import { GENEROUS, newArchives, openArchive, readAll } from './archives.ts'
import { SyntheticStore } from './synthetic-store.ts'

function tree(): SyntheticStore {
  return new SyntheticStore()
    .file('run/model.pt', 'model')
    .file('run/logs/a.txt', 'a')
    .file('run/logs/old/b.txt', 'b')
    .file('run/logs.txt', 'l')
    .file('run/plots/p.png', 'p')
    .folder('run/empty')
    .file('run10/other', 'not of this run')
}

async function names(store: SyntheticStore, selection: Selection = {}, folder = 'run'): Promise<string[]> {
  const manifest = await buildManifest(
    store,
    parsePath(folder),
    selection,
    GENEROUS,
    new AbortController().signal,
  )
  return Array.from({ length: manifest.count }, (_, i) => manifest.name(i).toString())
}

async function failure(work: Promise<unknown>, kind: ErrorKind): Promise<AppError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isAppError(error, kind)) throw new Error(`expected ${kind}`, { cause: error })
  return error
}

/** Files, and folders where a slash ends the name. */
function objects(...names: string[]): SyntheticStore {
  const store = new SyntheticStore()
  for (const name of names.reverse()) {
    if (name.endsWith('/')) store.folder(name.slice(0, -1))
    else store.file(name, name)
  }
  return store
}

/** `a/b`, `a/c` and `z`; of objects, `a` too. */
function beside(kind: 'objects' | 'folders'): () => SyntheticStore {
  return () => {
    const store = new SyntheticStore({ emptyDirectories: kind === 'folders' })
    for (const name of ['a/b', 'a/c', 'z']) store.file(name, name)
    return kind === 'objects' ? store.file('a', 'a') : store
  }
}

const paths = (...list: string[]): Selection => ({ paths: list.map(parsePath) })

describe('a folder that cannot be read', () => {
  const closed = (): SyntheticStore => tree().folder('run/private', { unreadable: 'permission' })

  it('is named, and can be left out', async () => {
    const error = await failure(names(closed()), 'PermissionDenied')
    expect(error.message).toContain('private')
    expect(await names(closed(), { exclude: ['private'] })).toEqual(await names(tree()))
    expect(await names(closed(), { glob: '*.pt' })).toEqual(['model.pt'])
  })
})

describe('the mode of a member', () => {
  it.each([0o4755, 0o2755, 0o1755])(
    'never carries a bit that another owner would make dangerous: %o',
    async mode => {
      const store = new SyntheticStore().file('run/tool', '#!', { mode })
      const manifest = await buildManifest(
        store,
        parsePath('run'),
        {},
        GENEROUS,
        new AbortController().signal,
      )
      expect(manifest.mode(0)).toBe(0o755)
    },
  )
})

describe('the members of an archive', () => {
  it('are the files and empty folders below the folder, by bytes of their paths', async () => {
    expect(await names(tree())).toEqual([
      'empty/',
      'logs.txt',
      'logs/a.txt',
      'logs/old/b.txt',
      'model.pt',
      'plots/p.png',
    ])
    expect(await names(new SyntheticStore().file('\u{10000}', '').file('\uE000', ''), {}, '')).toEqual([
      '\uE000',
      '\u{10000}',
    ])
  })

  it('are those below selected files and folders, each once', async () => {
    expect(await names(tree(), paths('plots', 'logs', 'logs/old', 'logs/a.txt', 'model.pt', 'logs'))).toEqual(
      ['logs/a.txt', 'logs/old/b.txt', 'model.pt', 'plots/p.png'],
    )
    expect(await names(tree(), paths('logs', 'logs.txt'))).toEqual([
      'logs.txt',
      'logs/a.txt',
      'logs/old/b.txt',
    ])
    expect(await names(tree(), paths('empty'))).toEqual(['empty/'])
    expect(await names(tree(), paths(''))).toEqual(await names(tree()))
  })

  it('must all exist where they are selected by path', async () => {
    const error = await failure(names(tree(), paths('logs', 'logs/gone')), 'NotFound')
    expect(error.message).toBe("There is no 'logs/gone' in this folder.")
  })

  it.each<[Selection, string[]]>([
    [{ glob: '**/*.txt' }, ['logs.txt', 'logs/a.txt', 'logs/old/b.txt']],
    [{ glob: 'logs/**' }, ['logs/a.txt', 'logs/old/b.txt']],
    [{ glob: 'logs/old/b.txt' }, ['logs/old/b.txt']],
    [{ glob: 'empty/**' }, ['empty/']],
    [{ glob: 'e*' }, ['empty/']],
    [{ glob: '**/*.txt', exclude: ['**/old'] }, ['logs.txt', 'logs/a.txt']],
    [{ exclude: ['logs', '*.pt', 'empty'] }, ['logs.txt', 'plots/p.png']],
    [{ exclude: ['logs/*'] }, ['empty/', 'logs.txt', 'model.pt', 'plots/p.png']],
    [{ paths: [parsePath('logs/old'), parsePath('plots')], exclude: ['logs'] }, ['plots/p.png']],
    [{ paths: [parsePath('logs')], glob: '**/a.*' }, ['logs/a.txt']],
  ])('are what %j leaves', async (selection, expected) => {
    expect(await names(tree(), selection)).toEqual(expected)
  })

  it('are not the whole tree to walk when a glob begins with folders', async () => {
    const store = tree()
    const listed: string[] = []
    const list = store.list.bind(store)
    store.list = (folder, options) => {
      listed.push(folder)
      return list(folder, options)
    }
    await names(store, { glob: 'logs/old/*.txt' })
    expect(listed).toEqual(['run/logs/old'])
  })

  it('are none of an empty folder, but a selection that matches nothing is not found', async () => {
    const store = new SyntheticStore().folder('run')
    expect(await names(store)).toEqual([])
    expect(await names(store, { glob: '*.txt' })).toEqual([])
    for (const selection of [
      { glob: '*.nothing' },
      { glob: 'nowhere/at/all' },
      { exclude: ['**'] },
      { glob: 'logs/**', exclude: ['logs'] },
    ])
      await failure(names(tree(), selection), 'NotFound')
  })

  it('are refused where the folder is none', async () => {
    await failure(names(tree(), {}, 'nowhere'), 'NotFound')
    await failure(names(tree(), {}, 'run/model.pt'), 'NotDirectory')
    await failure(names(tree(), { glob: '[' }), 'InvalidArgument')
  })

  it('are refused together when some cannot be read, ten of them by name', async () => {
    const store = new SyntheticStore().file('ok', '')
    for (let i = 10; i < 22; i++) store.file(`secret${i}`, 'x', { unreadable: 'permission' })
    const error = await failure(names(store, {}, ''), 'PermissionDenied')
    expect(error.message).toContain("'secret10'")
    expect(error.message).toContain("'secret19' and 2 more")
    expect(error.message).not.toContain('secret20')
    expect(await names(store, { exclude: ['secret*'] }, '')).toEqual(['ok'])
  })

  it('keep everything needed to pin a read', async () => {
    const store = new SyntheticStore()
      .file('d/a', 'xyz', { mode: 0o640, lastModifiedMs: 1.25 })
      .file('d/b\\c', '', { lastModifiedMs: undefined })
    const manifest = await buildManifest(store, parsePath('d'), {}, GENEROUS, new AbortController().signal)
    expect(manifest.entry(0)).toEqual(await store.stat(parsePath('d/a')))
    expect(manifest.entry(1)).toEqual(await store.stat(parsePath('d/b\\c')))
  })
})

describe('names that could do harm when unpacked', () => {
  it.each([
    ['back\\slash', 'back%5Cslash'],
    ['\\rooted', '%5Crooted'],
    ['C:evil', 'C%3Aevil'],
    ['c:/evil', 'c%3A/evil'],
    ['C:\\evil', 'C%3A%5Cevil'],
    ['deep/C:ordinary', 'deep/C:ordinary'],
    ['..x', '..x'],
    ['new\nline', 'new\nline'],
  ])('%j becomes %j', async (path, name) => {
    expect(await names(new SyntheticStore().file(path, 'x'), {}, '')).toEqual([name])
  })

  it.each([
    ['a name that is another one with its backslash replaced', ['a\\b', 'a%5Cb'], 'a\\\\b', 'a%5Cb'],
    ['a name that another one is given because of a folder', ['a', 'a/x', 'a~file'], 'a~file', 'a~file'],
    ['a folder of such a name', ['a', 'a/x', 'a~file/y'], 'a~file', 'a~file'],
    ['a folder that a replaced backslash meets', ['a\\b', 'a%5Cb/c/d'], 'a\\\\b', 'a%5Cb'],
    ['an empty folder of such a name', ['a', 'a/x', 'a~file/'], 'a~file', 'a~file'],
    ['a folder whose own name was replaced', ['a%5Cb', 'a\\b/c'], 'a%5Cb', 'a%5Cb'],
  ])('%s is refused, naming it', async (_what, list, exclude, name) => {
    const store = objects(...list)
    const error = await failure(names(store, {}, ''), 'Unsupported')
    expect(error.message).toContain(`'${name}'`)
    expect((await names(store, { exclude: [exclude] }, '')).length).toBe(list.length - 1)
  })
})

describe('files with the name of a folder beside them, as object stores can hold', () => {
  it('step aside, so that everything can be unpacked', async () => {
    const store = objects('a', 'a-b', 'a/x', 'a/x/y', 'a/z', 'b', 'b/')
    expect(await names(store, {}, '')).toEqual(['a~file', 'a-b', 'a/x~file', 'a/x/y', 'a/z', 'b~file', 'b/'])
  })

  it('are still read and pinned by their own', async () => {
    const store = objects('a', 'a/x', 'q\\', 'q\\/x')
    const manifest = await buildManifest(store, ROOT, {}, GENEROUS, new AbortController().signal)
    expect(manifest.name(2).toString()).toBe('q%5C~file')
    for (let i = 0; i < manifest.count; i++)
      expect(manifest.entry(i)).toEqual(await store.stat(manifest.entry(i).path))
  })

  it('keep their names where the folder is not selected', async () => {
    const store = objects('a', 'a/x', 'b')
    expect(await names(store, { glob: '*' }, '')).toEqual(['a', 'b'])
    expect(await names(store, { paths: [parsePath('b')] }, '')).toEqual(['b'])
  })

  describe.each([
    ['objects', beside('objects')],
    ['a store with folders of its own', beside('folders')],
  ])('in a selection, as %s', (kind, store) => {
    const both = kind === 'objects'

    it.each<[Selection, string[], string[]]>([
      [paths('a'), ['a~file', 'a/b', 'a/c'], ['a/b', 'a/c']],
      [paths('a', 'a/b'), ['a~file', 'a/b', 'a/c'], ['a/b', 'a/c']],
      [paths('a/b', 'z'), ['a/b', 'z'], ['a/b', 'z']],
      [{ folders: [parsePath('a')] }, ['a/b', 'a/c'], ['a/b', 'a/c']],
      [{ ...paths('a'), folders: [parsePath('a')] }, ['a~file', 'a/b', 'a/c'], ['a/b', 'a/c']],
      [{ ...paths('a/b'), folders: [ROOT] }, ['a~file', 'a/b', 'a/c', 'z'], ['a/b', 'a/c', 'z']],
      [{ glob: 'a/**' }, ['a~file', 'a/b', 'a/c'], ['a/b', 'a/c']],
      [{ glob: 'a/*' }, ['a/b', 'a/c'], ['a/b', 'a/c']],
      [{ glob: '{a,q}/*' }, ['a/b', 'a/c'], ['a/b', 'a/c']],
      [{ glob: '{a,q}/**' }, ['a~file', 'a/b', 'a/c'], ['a/b', 'a/c']],
      [{ ...paths('a', 'z'), exclude: ['a'] }, ['z'], ['z']],
    ])('%j takes all that has the name', async (selection, ofObjects, ofFolders) => {
      expect(await names(store(), selection, '')).toEqual(both ? ofObjects : ofFolders)
    })

    it.each([{ glob: 'z/*' }, { glob: 'z/y/*' }, { glob: 'q/**' }, { glob: 'z/**', exclude: ['z'] }])(
      '%j matches nothing',
      async selection => {
        const error = await failure(names(store(), selection, ''), 'NotFound')
        expect(error.message).toContain('matches what was selected')
      },
    )

    it('is not found as a folder where there is a file only', async () => {
      const error = await failure(names(store(), { folders: [parsePath('z')] }, ''), 'NotFound')
      expect(error.message).toBe("There is no 'z/' in this folder.")
      await failure(names(store(), paths('q'), ''), 'NotFound')
    })
  })
})

describe('artifacts that no path can name', () => {
  it('are counted, for whoever sends the archive to say so', async () => {
    const store = tree()
    store.omitted = 3
    const archive = await openArchive(store, 'zip', { folder: parsePath('run') })
    expect(archive.omitted).toBe(3)
    expect((await openArchive(tree(), 'zip', { folder: parsePath('run') })).omitted).toBe(0)
  })
})

describe('the limits', () => {
  it.each([
    [{ maxEntries: 5 }, 'archives.maxEntries', '5 members'],
    [{ maxBytes: 8 }, 'archives.maxBytes', '8 bytes'],
  ])('of %j are named when they are exceeded', async (limits, setting, amount) => {
    const archives = newArchives(limits)
    const error = await failure(
      openArchive(tree(), 'zip', { archives, folder: parsePath('run') }),
      'TooLarge',
    )
    expect(error.message).toContain(setting)
    expect(error.message).toContain(amount)
    expect(error.message).toContain('glob')
    expect(archives.inProgress).toBe(0)
  })

  it('are not exceeded by an archive that just reaches them', async () => {
    const archives = newArchives({ maxEntries: 6, maxBytes: 9 })
    await expect(openArchive(tree(), 'tar', { archives, folder: parsePath('run') })).resolves.toBeDefined()
  })

  it('on archives in progress hold until one is closed', async () => {
    const archives = newArchives({ maxInProgress: 2 })
    const [first] = await Promise.all([1, 2].map(() => openArchive(tree(), 'zip', { archives })))
    const error = await failure(openArchive(tree(), 'zip', { archives }), 'RateLimited')
    expect(error.temporary).toBe(true)
    await first!.close()
    await first!.close()
    expect(archives.inProgress).toBe(1)
    await readAll(await openArchive(tree(), 'zip', { archives }))
    expect(archives.inProgress).toBe(1)
  })

  it('do not count what failed to open', async () => {
    const archives = newArchives({ maxInProgress: 1 })
    await failure(openArchive(tree(), 'zip', { archives, selection: { glob: '[' } }), 'InvalidArgument')
    await failure(openArchive(tree(), 'tar', { archives, compress: true }), 'InvalidArgument')
    expect(archives.inProgress).toBe(0)
  })
})
