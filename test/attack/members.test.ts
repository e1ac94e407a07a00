// Archives that are made to put something where it does not belong (the zip-slip class), sent in every way in which the service unpacks one.
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { paxOf, tarOf, zipOf, type TarParts, type ZipParts } from '../archive/unpacking.ts'
import { fieldPart, filePart, form, FORM_TYPE } from '../support/form.ts'
import { SPELLINGS, waysOut } from './spellings.ts'
import { strike, type Attack } from './strike.ts'
import { describeVictims, RUN, UUID, type Victim } from './victim.ts'

const CONTENT = 'content of the attacker'
const STREAMS = `/streams/v1/default/ann/mnist/runs/${UUID}`

interface Way {
  readonly title: string
  readonly depth: number
  readonly neighbour: string
  readonly send: (archive: Buffer, format: 'tar' | 'tar.gz' | 'zip') => Attack
}

const inForm =
  (kind: string) =>
  (archive: Buffer, format: string): Attack => ({
    method: 'POST',
    target: `${STREAMS}/${kind}`,
    fields: [`Content-Type: ${FORM_TYPE}`],
    body: form(
      filePart(`archive.${format}`, archive, 'upload_file'),
      fieldPart('json', JSON.stringify({ untar: true, path: 'new' })),
    ),
  })

const WAYS: readonly Way[] = [
  {
    title: 'PUT on a folder',
    depth: 5,
    neighbour: '../10',
    send: (body, format) => ({ method: 'PUT', target: `/outputs/${RUN}/new/?unpack=${format}`, body }),
  },
  { title: 'POST of artifacts', depth: 2, neighbour: `../${UUID}0`, send: inForm('artifacts') },
]

/** Members by which one gets at a path outside in two steps, or at what is no file. */
function twoSteps(way: string): readonly (readonly [title: string, members: readonly TarParts[]])[] {
  const folder = way.slice(0, way.lastIndexOf('/')) || '/'
  const link = (type: string, linkName: string): TarParts => ({ name: 'l', type, linkName })
  const through = { name: 'l/secret.txt', content: CONTENT }
  return [
    ['a symbolic link', [link('2', way)]],
    ['a symbolic link, and a file in its place', [link('2', way), { name: 'l', content: CONTENT }]],
    ['a symbolic link to a folder, and a file in it', [link('2', folder), through]],
    ['a symbolic link by an extended header', [paxOf({ linkpath: folder }), link('2', 'x'), through]],
    [
      'a symbolic link by a long name',
      [{ name: 'x', type: 'K', content: `${folder}\0` }, link('2', 'x'), through],
    ],
    ['a hard link', [link('1', way)]],
    ['a hard link, and a file in its place', [link('1', way), { name: 'l', content: CONTENT }]],
    ['a hard link by an extended header', [paxOf({ linkpath: way }), link('1', 'x')]],
    ['a device', [{ name: 'l', type: '3' }]],
    ['a block device', [{ name: 'l', type: '4' }]],
    ['a pipe', [{ name: 'l', type: '6' }]],
    ['a name by an extended header', [paxOf({ path: way }), { name: 'x', content: CONTENT }]],
    ['a name by a global header', [paxOf({ path: way }, 'g'), { name: 'x', content: CONTENT }]],
    [
      'a long name',
      [
        { name: 'x', type: 'L', content: `${way}\0` },
        { name: 'x', content: CONTENT },
      ],
    ],
    ['a name by its prefix', [{ name: 'secret.txt', prefix: folder, content: CONTENT }]],
    ['a folder', [{ name: `${way}/`, type: '5' }]],
    ['a file of an old form', [{ name: way, type: '\0', content: CONTENT }]],
    ['a contiguous file', [{ name: way, type: '7', content: CONTENT }]],
    ['a sparse file', [{ name: way, type: 'S', content: CONTENT }]],
    ['an unknown type', [{ name: way, type: 'Z', content: CONTENT }]],
    ['names of the service itself', [{ name: '.polyaxon-outputs-pending/x', content: CONTENT }]],
  ]
}

function zips(way: string): readonly (readonly [title: string, members: readonly ZipParts[]])[] {
  const unicode = Buffer.from(way)
  const extra = Buffer.alloc(9 + unicode.length)
  // Info-ZIP's Unicode path, by which some readers name a member instead.
  extra.writeUInt16LE(0x7075, 0)
  extra.writeUInt16LE(5 + unicode.length, 2)
  extra[4] = 1
  unicode.copy(extra, 9)
  return [
    ['a symbolic link', [{ name: 'l', content: way, mode: 0o120777 }]],
    [
      'a symbolic link and a file through it',
      [
        { name: 'l', content: way.slice(0, way.lastIndexOf('/')), mode: 0o120777 },
        { name: 'l/secret.txt', content: CONTENT },
      ],
    ],
    ['a device', [{ name: 'l', mode: 0o020666 }]],
    ['a name of another field', [{ name: 'x', content: CONTENT, extra }]],
    ['a folder with a content', [{ name: `${way}/`, content: CONTENT }]],
    ['a name with NUL', [{ name: `x\0${way}`, content: CONTENT }]],
    ['no compression', [{ name: way, content: CONTENT, method: 0 }]],
  ]
}

async function unpacked(victim: Victim, way: Way, archive: Buffer, format: 'tar' | 'tar.gz' | 'zip') {
  try {
    const answer = await strike(victim, way.send(archive, format))
    for (const [path, content] of await victim.look())
      if (path.startsWith('root/')) expect(content, path).not.toMatch(/^(-> |special$)/)
    return answer
  } finally {
    await victim.restore()
  }
}

/** Three of them, others for each `turn`: writing to a disk takes its time. */
function someOf(ways: readonly string[], turn: number): string[] {
  return [0, 3, 6].map(i => ways[(i + turn) % ways.length]!)
}

describeVictims(victim => {
  describe.each(WAYS)('$title', way => {
    const ways = waysOut(way.depth, way.neighbour.slice(3)).map(path => path.replace(/^\.\.\//, '../../'))

    it('unpacks what is as it should be', async () => {
      const tar = tarOf({ name: 'a.txt', content: CONTENT })
      await strike(victim(), way.send(tar, 'tar'))
      expect(JSON.stringify([...(await victim().look())])).toContain('new/a.txt')
      await victim().restore()
    })

    it.each(SPELLINGS.flatMap(([, spellings]) => spellings))('names of members: %s', async (title, spell) => {
      const path = spell(ways[title.length % ways.length]!)
      await unpacked(victim(), way, tarOf(paxOf({ path }), { name: 'x', content: CONTENT }), 'tar')
      await unpacked(victim(), way, zipOf([{ name: path, content: CONTENT }]), 'zip')
    })

    it.each(twoSteps(ways[0]!).map(([title], i) => [title, i] as const))('a tar: %s', async (_title, i) => {
      for (const path of someOf(ways, i)) {
        const archive = tarOf(...twoSteps(path)[i]![1])
        const format = path.startsWith('/') ? 'tar.gz' : 'tar'
        await unpacked(victim(), way, format === 'tar' ? archive : gzipSync(archive), format)
      }
    })

    it.each(zips(ways[0]!).map(([title], i) => [title, i] as const))('a zip: %s', async (_title, i) => {
      for (const path of someOf(ways, i)) await unpacked(victim(), way, zipOf(zips(path)[i]![1]), 'zip')
    })

    it('a zip whose directory names other members than its headers do', async () => {
      for (const path of ways) {
        const fair = zipOf([{ name: 'x'.repeat(path.length), content: CONTENT }])
        const at = fair.lastIndexOf('x'.repeat(path.length))
        fair.write(path, at, 'utf8')
        expect((await unpacked(victim(), way, fair, 'zip')).status).toBe(400)
      }
    })

    it.each([
      ['of zeros', Buffer.alloc(10_000)],
      ['of ones', Buffer.alloc(10_000, 255)],
      ['of text', Buffer.from('hello '.repeat(2_000))],
      ['that is empty', Buffer.alloc(0)],
      ['that is cut', tarOf({ name: 'a', content: CONTENT.repeat(100) }).subarray(0, 900)],
      ['that is much larger than it looks', gzipSync(Buffer.alloc(32 * 1024 * 1024))],
      ['within an archive', gzipSync(gzipSync(tarOf({ name: 'a', content: CONTENT })))],
    ])('bytes %s', async (_title, bytes) => {
      for (const format of ['tar', 'tar.gz', 'zip'] as const) {
        const { status } = await unpacked(victim(), way, bytes, format)
        expect([200, 400, 413]).toContain(status)
      }
    })
  })
})
