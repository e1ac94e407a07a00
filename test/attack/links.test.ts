// Symbolic links in a run that lead out of it, links that are swapped while somebody looks, and what is neither a file nor a folder.
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { findProgram } from '../client/programs.ts'
import { fieldPart, filePart, form, FORM_TYPE } from '../support/form.ts'
import { metadataOf } from '../support/uploading.ts'
import { CHANGING, READING, type Place } from './places.ts'
import { bytesOf, printable, send, strikeAll, type Attack } from './strike.ts'
import { describeVictims, INSIDE, RUN, SECRET, UUID, type Victim } from './victim.ts'

const RUNS = [
  { run: RUN, neighbour: '10', depth: 4 },
  { run: UUID, neighbour: `${UUID}0`, depth: 1 },
] as const

/** Where the links in the folder `links` of a run lead; `base` is the folder above the root of the store. */
function leaving(base: string, neighbour: string, depth: number): Readonly<Record<string, string>> {
  return {
    passwd: '/etc/passwd',
    etc: '/etc',
    proc: '/proc/self/root/etc/passwd',
    cwd: '/proc/self/cwd',
    environ: '/proc/self/environ',
    descriptors: '/dev/fd',
    neighbour: `../../${neighbour}`,
    'neighbour-folder': `../../${neighbour}/folder`,
    'neighbour-file': `../../${neighbour}/secret.txt`,
    'notebook.ipynb': `../../${neighbour}/secret.ipynb`,
    store: `${base}/root`,
    'store-file': `${base}/root/secret.txt`,
    above: '../'.repeat(depth + 2),
    'above-file': `${'../'.repeat(depth + 2)}secret.txt`,
    'other-store': `${base}/other`,
    chain: 'etc',
    'chain-file': 'neighbour/secret.txt',
    'not-there': `${base}/planted.txt`,
    'folder-not-there': `${base}/planted`,
    dangling: 'nowhere',
    loop: 'loop',
    'loop-of-two': 'loop-back',
    'loop-back': 'loop-of-two',
  }
}

function plant({ tree }: Victim): void {
  for (const { run, neighbour, depth } of RUNS) {
    const link = (path: string, to: string): void => {
      tree!.removePath(`root/${run}/${path}`)
      tree!.link(`root/${run}/${path}`, to)
    }
    for (const [name, to] of Object.entries(leaving(tree!.root, neighbour, depth))) link(`links/${name}`, to)
    link('events/metric/linked.plx', `../../../${neighbour}/events/metric/secret.plx`)
    link('resources/metric/linked.plx', `../../../${neighbour}/events/metric/secret.plx`)
    link('plxlogs/linked.jsonl', `../../${neighbour}/plxlogs/pod.jsonl`)
    link('.tmpplxlogs', `../${neighbour}/plxlogs`)
  }
}

const NAMES = Object.keys(leaving('', '', 0))
/** What is asked of a link: itself, and what lies behind it if it leads to a folder. */
const BEHIND = ['', '/', '/secret.txt', '/passwd', '/new.txt', '/folder/', '/.']

const removes = ({ title }: Place): boolean => /DELETE|deleted|move/.test(title)

const isLocal = (title: string): boolean => title === 'the local store'

describeVictims(
  victim => {
    beforeAll(() => plant(victim()))

    const ofPaths = READING.filter(({ fair }) => /^(inside\.txt|folder\/?|notebook\.ipynb)$/.test(fair))

    describe.each(NAMES)('the link %s', name => {
      it('is followed by nothing that reads', async () => {
        const attacks = BEHIND.flatMap(behind => ofPaths.map(place => place.ask(`links/${name}${behind}`)))
        const answers = await strikeAll(victim(), attacks)
        for (const [i, { status, text }] of answers.entries())
          if (status < 300) expect(text, attacks[i]!.target).not.toMatch(/PATH=|shadow/)
      })

      it('is followed by nothing that changes', async () => {
        for (const behind of ['', '/secret.txt', '/new.txt'])
          for (const places of [CHANGING.filter(place => !removes(place)), CHANGING.filter(removes)]) {
            await strikeAll(
              victim(),
              places.map(place => place.ask(`links/${name}${behind}`)),
            )
            await victim().restore()
            plant(victim())
          }
      })
    })

    it.each([
      `/outputs/${RUN}/?recursive=true&format=json`,
      `/outputs/${RUN}/?recursive=true&format=text`,
      `/outputs/${RUN}/?recursive=true`,
      `/outputs/${RUN}/links/?format=ndjson`,
      `/outputs/${RUN}/?archive=tar`,
      `/outputs/${RUN}/?archive=tar.gz`,
      `/outputs/${RUN}/?archive=zip`,
      `/outputs/${RUN}/?archive=tar&glob=**`,
      `/streams/v1/default/ann/mnist/runs/${UUID}/artifacts`,
      `/streams/v1/default/ann/mnist/runs/${UUID}/artifacts/tree?path=links`,
      `/streams/v1/default/ann/mnist/runs/${UUID}/logs`,
      `/streams/v1/default/ann/mnist/runs/${UUID}/resources`,
      `/streams/v1/default/ann/mnist/runs/${UUID}/events/metric?names=linked,loss`,
      `/streams/v1/default/ann/mnist/runs/${UUID}/events/metric?names=linked,loss&pkg_assets=true`,
      `/streams/v1/default/ann/mnist/runs/multi/events/metric?names=linked,loss&runs=${UUID}`,
      `/api/v1/${RUN}/outputs`,
      `/api/v1/${RUN}/outputs/tree?path=links`,
    ])('what is all of a run has no link: %s', async target => {
      const [answer] = await strikeAll(victim(), [{ target }])
      expect(answer!.status).toBe(200)
      expect(answer!.text).not.toMatch(/neighbour|chain|above|not-there|dangling|loop|linked|environ/)
    })

    it('a run, an owner or a log that is a link out of its store is not there', async () => {
      const { tree } = victim()
      const links = [
        ['root/ann/mnist/experiments/3', tree!.root],
        ['root/ann/mnist/experiments/4', '/etc'],
        ['root/linked', tree!.at('other')],
        ['root/0123456789abcdef0123456789abcdef', tree!.root],
        ['logs/ann/mnist/experiments/3', tree!.at('secret.txt')],
        ['logs/ann/mnist/experiments/4', '/etc/passwd'],
      ] as const
      const uuid = '/streams/v1/default/ann/mnist/runs/0123456789abcdef0123456789abcdef'
      const attacks: Attack[] = [
        ...['3/', '3/secret.txt', '4/passwd', '3/?archive=tar', '4/?recursive=true'].map(path => ({
          target: `/outputs/ann/mnist/experiments/${path}`,
        })),
        { target: `/outputs/linked/${RUN.slice(4)}/inside.txt` },
        { method: 'PUT', target: '/outputs/ann/mnist/experiments/3/new.txt', body: 'x' },
        { method: 'PUT', target: `/outputs/linked/mnist/experiments/9/new.txt`, body: 'x' },
        { method: 'DELETE', target: '/outputs/ann/mnist/experiments/3/secret.txt' },
        ...['artifacts/tree', 'artifact?path=secret.txt', 'artifacts'].map(path => ({
          target: `${uuid}/${path}`,
        })),
        { method: 'DELETE', target: `${uuid}/artifact?path=secret.txt` },
        ...['3/logs', '4/logs', '3/outputs', '4/outputs/files?path=passwd'].map(path => ({
          target: `/api/v1/ann/mnist/experiments/${path}`,
        })),
      ]
      try {
        for (const [path, to] of links) tree!.link(path, to)
        await victim()
          .expectIntact('')
          .catch(() => undefined)
        const answers = await strikeAll(victim(), attacks)
        for (const [i, { text }] of answers.entries()) expect(text, attacks[i]!.target).not.toContain(INSIDE)
      } finally {
        for (const [path] of links) tree!.removePath(path)
        await victim()
          .expectIntact('')
          .catch(() => undefined)
      }
    })

    it('deleting a link takes the link, and not what it leads to', async () => {
      for (const [name, target] of [
        ['store-file', `/outputs/${RUN}/links/store-file`],
        ['neighbour', `/outputs/${RUN}/links/neighbour`],
      ] as const) {
        await strikeAll(victim(), [{ method: 'DELETE', target }])
        expect(readdirSync(victim().tree!.at(`root/${RUN}/links`))).not.toContain(name)
      }
      await strikeAll(victim(), [{ method: 'DELETE', target: `/outputs/${RUN}/links/?recursive=true` }])
      expect(readdirSync(victim().tree!.at(`root/${RUN}`))).not.toContain('links')
      await victim().restore()
    })
  },
  { only: isLocal },
)

describeVictims(
  victim => {
    const at = (path: string): string => victim().tree!.at(`root/${RUN}/${path}`)

    /** Makes `swap` lead now here and now there, as often as can be, until what it gives back is called. */
    function swapping(inside: string, outside: string): () => void {
      const swap = (to: string): void => {
        try {
          symlinkSync(to, at('swap-next'))
          renameSync(at('swap-next'), at('swap'))
        } catch {
          // The service has put something there.
          for (const name of ['swap', 'swap-next']) rmSync(at(name), { recursive: true, force: true })
        }
      }
      swap(inside)
      const timer = setInterval(() => {
        for (let i = 0; i < 4; i++) swap(i % 2 === 0 ? outside : inside)
      }, 0)
      return () => clearInterval(timer)
    }

    afterEach(() => victim().restore())

    /** Everything that is known of the answers holds, whichever of the two is there when. */
    async function strikeWhileSwapping(attack: (i: number) => Attack): Promise<void> {
      const statuses = new Set<number>()
      for (let i = 0; i < 64; i += 8)
        await Promise.all(
          Array.from({ length: 8 }, async (_, j) => {
            const sent = bytesOf(attack(i + j))
            const answer = await send(victim(), sent)
            expect(answer.includes(SECRET), printable(sent)).toBe(false)
            // What changes under an answer breaks it off, perhaps before its first byte.
            if (answer.length > 0) statuses.add(Number(answer.toString('latin1', 9, 12)))
          }),
        )
      await victim().expectIntact('after the swaps')
      // Of outputs that keep changing the service says 503.
      expect([...statuses].filter(status => status >= 500 && status !== 503)).toEqual([])
    }

    const asFile: readonly (readonly [string, (i: number) => Attack])[] = [
      ['GET', () => ({ target: `/outputs/${RUN}/swap` })],
      ['an archive', () => ({ target: `/outputs/${RUN}/?archive=tar&path=swap` })],
      ['PUT', () => ({ method: 'PUT', target: `/outputs/${RUN}/swap`, body: INSIDE })],
      ['a copy', i => ({ method: 'POST', target: `/outputs/${RUN}/swap?copyTo=copies/${i}`, body: '' })],
    ]
    it.each(asFile)('a file that is now and then a link to a file outside: %s', async (_title, attack) => {
      const stop = swapping('inside.txt', '../10/secret.txt')
      try {
        await strikeWhileSwapping(attack)
      } finally {
        stop()
      }
    })

    const asFolder: readonly (readonly [string, (i: number) => Attack])[] = [
      ['GET', () => ({ target: `/outputs/${RUN}/swap/secret.txt` })],
      ['a listing', () => ({ target: `/outputs/${RUN}/swap/?format=text&recursive=true` })],
      ['an archive', () => ({ target: `/outputs/${RUN}/?archive=tar&glob=**` })],
      ['PUT', i => ({ method: 'PUT', target: `/outputs/${RUN}/swap/new-${i % 5}.txt`, body: INSIDE })],
      ['PUT over it', () => ({ method: 'PUT', target: `/outputs/${RUN}/swap/secret.txt`, body: INSIDE })],
      ['DELETE', () => ({ method: 'DELETE', target: `/outputs/${RUN}/swap/secret.txt` })],
      [
        'DELETE of folders',
        () => ({ method: 'DELETE', target: `/outputs/${RUN}/swap/folder/?recursive=true` }),
      ],
      [
        'a copy',
        i => ({ method: 'POST', target: `/outputs/${RUN}/inside.txt?copyTo=swap/copy-${i % 5}`, body: '' }),
      ],
      [
        'a form',
        () => ({
          method: 'POST',
          target: `/outputs/${RUN}/swap/`,
          fields: [`Content-Type: ${FORM_TYPE}`],
          body: form(filePart('secret.txt', INSIDE)),
        }),
      ],
      [
        'a resumable upload',
        () => ({
          method: 'POST',
          target: '/uploads',
          fields: [
            'Tus-Resumable: 1.0.0',
            'Upload-Length: 1',
            'Content-Type: application/offset+octet-stream',
            `Upload-Metadata: ${metadataOf({ path: `${RUN}/swap/secret.txt` })}`,
          ],
          body: 'x',
        }),
      ],
    ]
    it.each(asFolder)(
      'a folder that is now and then a link to a folder outside: %s',
      async (_title, attack) => {
        const stop = swapping('folder', '../10')
        try {
          await strikeWhileSwapping(attack)
        } finally {
          stop()
        }
      },
    )
  },
  { only: isLocal },
)

const mkfifo = findProgram('mkfifo')
const mknod = process.getuid?.() === 0 ? findProgram('mknod') : undefined

describe.skipIf(mkfifo === undefined)('what is neither a file nor a folder (needs mkfifo)', () => {
  describeVictims(
    victim => {
      const SPECIAL = ['pipe', 'socket', ...(mknod === undefined ? [] : ['zeros'])]
      const server = createServer()

      beforeAll(async () => {
        const { tree } = victim()
        for (const run of [RUN, UUID]) {
          execFileSync(mkfifo!, [tree!.at(`root/${run}/pipe`)])
          if (mknod !== undefined) execFileSync(mknod, [tree!.at(`root/${run}/zeros`), 'c', '1', '5'])
        }
        for (const run of [UUID, RUN])
          await new Promise<void>(resolve =>
            (run === UUID ? server : createServer().unref()).listen(tree!.at(`root/${run}/socket`), resolve),
          )
        execFileSync(mkfifo!, [tree!.at(`root/${UUID}/plxlogs/pipe.jsonl`)])
        execFileSync(mkfifo!, [tree!.at(`root/${UUID}/events/metric/pipe.plx`)])
        execFileSync(mkfifo!, [tree!.at(`root/${UUID}/resources/metric/pipe.plx`)])
      })
      afterAll(() => new Promise(resolve => server.close(resolve)))

      it.each(SPECIAL)('is not there for anything that reads: %s', async name => {
        const path = victim().tree!.at(`root/${RUN}/pipe`)
        // Waits until somebody opens the pipe to read from it.
        let opened = false
        const writing = open(path, 'w').then(async file => {
          opened = true
          await file.close()
        })
        const attacks = READING.map(place => place.ask(name))
        for (const { status } of await strikeAll(victim(), attacks)) expect(status).toBeLessThan(500)
        expect(opened).toBe(false)
        const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
        await writing
        closeSync(reader)
      })

      it.each([
        `/outputs/${RUN}/?recursive=true&format=text`,
        `/outputs/${RUN}/?archive=tar`,
        `/outputs/${RUN}/?archive=zip`,
        `/streams/v1/default/ann/mnist/runs/${UUID}/artifacts`,
        `/streams/v1/default/ann/mnist/runs/${UUID}/logs`,
        `/streams/v1/default/ann/mnist/runs/${UUID}/resources`,
        `/streams/v1/default/ann/mnist/runs/${UUID}/events/metric?names=pipe`,
        `/api/v1/${RUN}/outputs`,
      ])('keeps nobody waiting: %s', async target => {
        const [answer] = await strikeAll(victim(), [{ target }])
        expect(answer!.status).toBe(200)
        expect(answer!.text).not.toMatch(/pipe|socket|zeros/)
      })

      it.each(SPECIAL)('is written into by nothing: %s', async name => {
        onTestFinished(() => victim().restore())
        const attacks = CHANGING.filter(({ title }) => !/DELETE|deleted|source/.test(title))
        for (const place of attacks) await strikeAll(victim(), [place.ask(`${name}/x`)])
        await strikeAll(victim(), [
          { method: 'PUT', target: `/outputs/${RUN}/${name}`, body: 'x' },
          {
            method: 'POST',
            target: `/streams/v1/default/ann/mnist/runs/${UUID}/artifact`,
            fields: [`Content-Type: ${FORM_TYPE}`],
            body: form(filePart(name, 'x', 'upload_file'), fieldPart('json', '{"untar":false}')),
          },
        ])
      })
    },
    { only: isLocal },
  )
})
