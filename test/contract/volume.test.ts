// A local store as an operator's volume: opened while it is away, tried out, delivered by the web server in front, and on a file system whose server sets the clock.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs, { existsSync, readdirSync, statSync, writeFileSync, type Stats } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { settle } from '../../src/store/local-entry.ts'
import { localError } from '../../src/store/local-errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { ask } from '../support/client.ts'
import { until } from '../support/process.ts'
import { Tree } from '../support/tree.ts'
import { at, listAll, readAll, withOpen } from './harness.ts'
import { WEIRD_NAMES } from './weird-names.ts'

let tree: Tree
let store: ArtifactStore
beforeEach(() => {
  tree = new Tree()
  store = openLocalStore({ root: tree.root })
})
afterEach(() => tree.remove())

const namesIn = async (): Promise<string[]> => (await listAll(store, '')).map(entry => entry.path)

describe('a volume that is away when the store is opened', () => {
  it('is Unavailable to all first uses, and serves them as soon as it is there', async () => {
    const late = openLocalStore({ root: tree.at('late') })
    const scoped = late.scoped(at('run'))
    const uses = [() => late.stat(at('')), () => scoped.stat(at('file')), () => listAll(late, '')]
    for (const use of await Promise.allSettled(uses.map(use => use())))
      expect(use).toMatchObject({ status: 'rejected', reason: { kind: 'Unavailable' } })
    tree.write('late/run/file', 'f')
    expect(await Promise.all(uses.map(use => use()))).toMatchObject([
      { type: 'directory' },
      { size: 1 },
      [{ path: 'run' }],
    ])
  })
})

describe('names that are no artifacts', () => {
  const CHECK = '.polyaxon-outputs-check-6f9619ff-8b86-4d01-b42d-00c04fc964ff'
  const REMOVED = ['.nfs000000000000000200000001', '.fuse_hidden0000000500000001']

  it('hide a check file that a crash left behind, but nothing that merely looks like one', async () => {
    for (const name of [CHECK, `${CHECK}.txt`, '.polyaxon-outputs-check-', 'a']) tree.write(name, 'x')
    expect(await namesIn()).toEqual(['.polyaxon-outputs-check-', `${CHECK}.txt`, 'a'])
    await expect(store.stat(at(CHECK))).rejects.toMatchObject({ kind: 'NotFound' })
  })

  it('show what is called like a removed file of NFS or FUSE on a local disk', async () => {
    for (const name of REMOVED) tree.write(name, 'x')
    expect(await namesIn()).toEqual(REMOVED.toSorted())
    for (const name of REMOVED) expect(await store.stat(at(name))).toMatchObject({ size: 1 })
  })

  const SHM = '/dev/shm'
  const hasOtherDevice = existsSync(SHM) && statSync(SHM).dev !== statSync('/').dev
  it.skipIf(!hasOtherDevice)('hide it on what may be a network file system (needs /dev/shm)', async () => {
    const mounted = new Tree(SHM)
    try {
      const view = openLocalStore({ root: '/' }).scoped(at(mounted.root.slice(1)))
      for (const name of [...REMOVED, '.nfs12', '.nfsmount.conf', '.fuse_hidden']) mounted.write(name, 'x')
      mounted.link('link', REMOVED[0]!)
      const listed = await listAll(view, '')
      expect(listed.map(entry => entry.path)).toEqual(['.fuse_hidden', '.nfs12', '.nfsmount.conf'])
      for (const name of [...REMOVED, 'link'])
        await expect(view.open(at(name))).rejects.toMatchObject({ kind: 'NotFound', path: name })
    } finally {
      mounted.remove()
    }
  })
})

describe('a system call that failed', () => {
  // libuv has no name for these, so Node gives "Unknown system error -116".
  it.skipIf(process.platform !== 'linux')('is known by its number where it has no name (needs Linux)', () => {
    const failed = (errno: number): Error =>
      Object.assign(new Error('x'), { code: `Unknown system error ${errno}`, errno })
    expect(localError(failed(-116), 'open', at('a'))).toMatchObject({ kind: 'Unavailable', temporary: true })
    expect(localError(failed(-4711), 'open', at('a'))).toMatchObject({ kind: 'Internal' })
  })
})

describe('the times of a file server', () => {
  const DAY_MS = 86_400_000
  const changedAt = (ctimeMs: number): Stats =>
    Object.assign(statSync(tree.root), { ctimeMs, isFile: () => true })

  it.each([
    ['as ours', 0],
    ['behind ours', -500],
    ['ahead of ours', DAY_MS],
  ])('are waited for once when its clock is %s', async (_, skewMs) => {
    const looks = [changedAt(Date.now() + skewMs + 0.5)]
    const startedAt = performance.now()
    expect(await settle(looks, false, () => looks[0]!)).toEqual(new Set())
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(19)
    expect(performance.now() - startedAt).toBeLessThan(500)
  })

  it('are not waited for when they are older than any difference of clocks', async () => {
    const looks = [changedAt(Date.now() - 5000.5)]
    let again = 0
    expect(await settle(looks, false, () => changedAt(++again))).toEqual(new Set())
    expect(again).toBe(0)
  })

  it('have not come to rest while each look shows another change', async () => {
    const looks = [changedAt(Date.now() + DAY_MS)]
    const again = (): Stats => changedAt(looks[0]!.ctimeMs + 1)
    expect(await settle(looks, false, again)).toEqual(new Set([0]))
  })
})

describe('a disk', () => {
  const LOOKS = ['readSync', 'lstatSync', 'openSync'] as const

  async function looksMade(options: { isClaim?: boolean }): Promise<string[]> {
    const view = openLocalStore({ root: tree.root, ...options })
    // What is mounted is read from the kernel, and then known for a second.
    await view.stat(at('run/a'))
    const spies = LOOKS.map(name => vi.spyOn(fs, name))
    try {
      expect(await listAll(view, '', { recursive: true })).toHaveLength(3)
      expect(String(await withOpen(view, 'run/a', artifact => readAll(artifact)))).toBe('content')
      return LOOKS.filter((_, index) => spies[index]!.mock.calls.length > 0)
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
  }

  it.skipIf(process.platform !== 'linux')(
    'that may hang while this machine is well is never waited for on the event loop (needs Linux)',
    async () => {
      tree.write('run/a', 'content')
      tree.write('run/b', 'b')
      expect(await looksMade({ isClaim: true })).toEqual([])
      expect(await looksMade({})).toEqual(LOOKS)
    },
  )
})

describe('probe', () => {
  it('lists, reads and writes, and leaves nothing behind', async () => {
    tree.makeDirectory('a/empty')
    tree.write('b/file', 'content')
    const ok = { result: 'ok', elapsedMs: expect.any(Number) as number }
    expect(await store.probe!()).toEqual({
      list: ok,
      read: { ...ok, detail: "7 bytes of 'b/file'" },
      write: ok,
    })
    expect(readdirSync(tree.root).sort()).toEqual(['a', 'b'])
  })

  it('reads nothing from an empty store, and says so', async () => {
    expect(await store.probe!()).toMatchObject({
      list: { result: 'ok', detail: 'the folder is empty' },
      read: { result: 'skipped' },
      write: { result: 'ok' },
    })
  })

  it('does not write where the operator forbids it', async () => {
    const readOnly = openLocalStore({ root: tree.root, readOnly: true })
    expect((await readOnly.probe!()).write).toMatchObject({
      result: 'skipped',
      detail: 'the connection is configured as read-only',
    })
  })

  it('says of a volume that is away that it cannot be reached, and never rejects', async () => {
    const away = openLocalStore({ root: tree.at('away') })
    expect(await away.probe!()).toMatchObject({
      list: { result: 'failed', error: { kind: 'Unavailable' } },
      read: { result: 'skipped' },
      write: { result: 'failed', error: { kind: 'Unavailable' } },
    })
    expect(await store.probe!({ signal: AbortSignal.abort() })).toMatchObject({
      list: { result: 'failed' },
      write: { result: 'failed' },
    })
    expect(readdirSync(tree.root)).toEqual([])
  })

  it.for([
    ['is mounted read-only', 'ro', 'PermissionDenied', 'The outputs folder is mounted read-only'],
    ['is full', 'size=4k,nr_inodes=1', 'NoSpace', 'The volume of the outputs folder is full'],
  ] as const)(
    'says why a volume that %s cannot be written to (needs the right to mount)',
    async (row, context) => {
      const [, options, kind, message] = row
      tree.makeDirectory('volume')
      const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', tree.at('volume')])
      if (mount.status !== 0) {
        context.skip('needs the right to mount')
        return
      }
      try {
        const { list, write } = await openLocalStore({ root: tree.at('volume') }).probe!()
        expect(list.result).toBe('ok')
        expect(write).toMatchObject({ result: 'failed', error: { kind, op: 'write', path: '' } })
        expect((write as { error: Error }).error.message).toContain(message)
      } finally {
        spawnSync('umount', [tree.at('volume')])
      }
    },
  )
})

describe('delivery by the web server in front', () => {
  const OPTIONS = { disposition: 'inline', mediaType: 'text/plain' }
  const uriOf = async (view: ArtifactStore, path: string): Promise<string | undefined> => {
    const delivery = await view.direct!(at(path), false, OPTIONS)
    expect(delivery?.type ?? 'x-accel').toBe('x-accel')
    return delivery?.type === 'x-accel' ? delivery.uri : undefined
  }
  const accelerated = (root = tree.root): ArtifactStore =>
    openLocalStore({ root, delivery: 'x-accel', accelLocation: '/volume/' })

  it('names the file below the location, percent-encoded, the same from a scoped view', async () => {
    tree.write('run 1/100%?#é', 'x')
    const uri = '/volume/run%201/100%25%3F%23%C3%A9'
    expect(await uriOf(accelerated(), 'run 1/100%?#é')).toBe(uri)
    expect(await uriOf(accelerated().scoped(at('run 1')), '100%?#é')).toBe(uri)
  })

  it('is not for a path that holds a link, wherever it leads, nor for what is no file', async () => {
    tree.write('real/file', 'x')
    tree.link('real/link', 'file')
    tree.link('alias', 'real')
    tree.link('out', '/etc')
    for (const path of ['real/link', 'alias/file', 'out/passwd', 'real', 'missing', ''])
      expect(await uriOf(accelerated(), path), path).toBeUndefined()
    expect(await uriOf(accelerated(), 'real/file')).toBe('/volume/real/file')
  })

  it('works where the root itself is behind a link', async () => {
    tree.write('real/file', 'x')
    tree.link('root', 'real')
    expect(await uriOf(accelerated(tree.at('root')), 'file')).toBe('/volume/file')
  })

  it('is only for a store that is configured for it', async () => {
    tree.write('file', 'x')
    expect(await uriOf(store, 'file')).toBeUndefined()
    const redirecting = openLocalStore({ root: tree.root, delivery: 'redirect', accelLocation: '/volume/' })
    expect(await uriOf(redirecting, 'file')).toBeUndefined()
  })

  it('fails with Unavailable while the volume is away', async () => {
    await expect(accelerated(tree.at('away')).direct!(at('file'), false, OPTIONS)).rejects.toMatchObject({
      kind: 'Unavailable',
    })
  })

  describeClient('nginx', findProgram('nginx') ?? ['/usr/sbin/nginx'].find(existsSync), nginx => {
    it('sends what the store means, for every weird name', async () => {
      const view = accelerated(tree.at('volume'))
      const names = WEIRD_NAMES.map((name, index) => [name, `${index}`] as const)
      for (const [name, content] of names) tree.write(`volume/${name}`, content)
      const service = createServer((request, response) => {
        void uriOf(view, names[Number(request.url!.slice(1))]![0]).then(uri =>
          response.setHeader('X-Accel-Redirect', uri!).end(),
        )
      }).listen(0, '127.0.0.1')
      await once(service, 'listening')
      const front = await startNginx(nginx, (service.address() as AddressInfo).port)
      try {
        for (const [index, [name, content]] of names.entries())
          expect((await ask(`${front.url}/${index}`)).text, JSON.stringify(name)).toBe(content)
        expect((await ask(`${front.url}/volume/a%20b`)).status, 'the location is internal').toBe(404)
      } finally {
        await front.stop()
        service.close()
      }
    })
  })

  async function startNginx(
    program: string,
    servicePort: number,
  ): Promise<{ url: string; stop: () => Promise<void> }> {
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port } = free.address() as AddressInfo
    free.close()
    await once(free, 'close')
    const user = process.geteuid?.() === 0 ? 'user root;' : ''
    const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map(name => `${name}_temp_path ${tree.at(name)};`)
      .join(' ')
    const configuration = `
      ${user} daemon off; master_process off; pid ${tree.at('nginx.pid')}; error_log ${tree.at('error.log')};
      events {}
      http {
        ${folders} access_log off;
        server {
          listen 127.0.0.1:${port};
          location / { proxy_pass http://127.0.0.1:${servicePort}; }
          location /volume/ { internal; alias ${tree.at('volume')}/; disable_symlinks on from=${tree.at('volume')}; }
        }
      }`
    writeFileSync(tree.at('nginx.conf'), configuration)
    const child = spawn(program, ['-p', tree.root, '-c', tree.at('nginx.conf'), '-e', tree.at('error.log')])
    const url = `http://127.0.0.1:${port}`
    await until(() =>
      ask(`${url}/volume/`).then(
        () => true,
        () => false,
      ),
    )
    return {
      url,
      stop: async () => {
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      },
    }
  }
})
