// Unpacks archives into stores in memory, and writes archives byte by byte as no program would.
import { crc32, deflateRawSync } from 'node:zlib'
import { unpack, UnpackError, type UnpackFormat, type UnpackOptions } from '../../src/content/unpack.ts'
import type { Written } from '../../src/content/unpack-writer.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { ROOT, type ArtifactPath } from '../../src/store/path.ts'
import type { ArtifactStore, ReadableStore } from '../../src/store/store.ts'

export const ROOMY: UnpackOptions = {
  limits: { maxEntries: 100_000, maxBytes: 2 ** 40, maxRatio: 200 },
  onFailure: 'keep',
}

export type Options = Partial<UnpackOptions> & {
  readonly store?: ArtifactStore
  readonly folder?: string
}

export async function unpackFrom(
  source: AsyncIterable<Uint8Array>,
  format: UnpackFormat,
  { store = new MemoryStore(), folder = '', ...options }: Options = {},
): Promise<Written> {
  return unpack(store, folder as ArtifactPath, format, source, { ...ROOMY, ...options })
}

/** The files of `archive` by path, as text of latin1, so that a difference can be read. */
export async function filesOf(
  archive: Uint8Array,
  format: UnpackFormat,
  options: Options = {},
): Promise<Record<string, string>> {
  const store = options.store ?? new MemoryStore()
  await unpackFrom(inChunks(archive), format, { ...options, store })
  return contentsOf(store)
}

export async function contentsOf(store: ReadableStore): Promise<Record<string, string>> {
  const contents: [path: string, content: string][] = []
  for await (const batch of store.list(ROOT, { recursive: true }))
    for (const entry of batch) {
      if (entry.type !== 'file') continue
      const artifact = await store.open(entry.path)
      const chunks: Buffer[] = []
      for await (const chunk of artifact.read(0, entry.size)) chunks.push(Buffer.from(chunk))
      await artifact.close()
      contents.push([entry.path, Buffer.concat(chunks).toString('latin1')])
    }
  // Defines even what is called `__proto__`.
  return Object.fromEntries(contents)
}

/** The failure that unpacking `archive` must end with. */
export async function failureOf(
  archive: Uint8Array | AsyncIterable<Uint8Array>,
  format: UnpackFormat,
  options: Options = {},
): Promise<UnpackError> {
  try {
    await unpackFrom(Symbol.asyncIterator in archive ? archive : inChunks(archive), format, options)
  } catch (error) {
    if (error instanceof UnpackError) return error
    throw error
  }
  throw new Error('It was unpacked.')
}

/** `bytes` in pieces of these sizes, taken in turn. */
export async function* inChunks(
  bytes: Uint8Array,
  sizes: readonly number[] = [64 * 1024],
): AsyncGenerator<Uint8Array, void> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!
    yield bytes.slice(at, at + size)
    at += size
  }
}

export interface TarParts {
  readonly name: string | Buffer
  readonly content?: string | Buffer
  readonly type?: string
  readonly linkName?: string
  /** As the header says; else that of the content. */
  readonly size?: number | Buffer
  readonly magic?: string
  readonly prefix?: string
}

/** A header and its content, without any check. */
export function tarMember({
  name,
  content = '',
  type = '0',
  linkName = '',
  size,
  magic,
  prefix = '',
}: TarParts): Buffer {
  const body = Buffer.from(content)
  const header = Buffer.alloc(512)
  Buffer.from(name).copy(header, 0, 0, 100)
  header.write('0000644\0' + '0000000\0'.repeat(2), 100, 'latin1')
  if (Buffer.isBuffer(size)) size.copy(header, 124)
  else header.write(`${(size ?? body.length).toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  header.write('00000000000\0', 136, 'latin1')
  header.write(type, 156, 'latin1')
  header.write(linkName, 157, 'utf8')
  header.write(magic ?? 'ustar\0' + '00', 257, 'latin1')
  header.write(prefix, 345, 'utf8')
  return Buffer.concat([summed(header), body, Buffer.alloc((512 - (body.length % 512)) % 512)])
}

/** `header` with its checksum. */
export function summed(header: Buffer): Buffer {
  header.write(' '.repeat(8), 148, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

export const TAR_END = Buffer.alloc(1024)

export function tarOf(...members: readonly TarParts[]): Buffer {
  return Buffer.concat([...members.map(tarMember), TAR_END])
}

export function paxOf(records: Readonly<Record<string, string>>, type = 'x'): TarParts {
  const content = Object.entries(records).map(([keyword, value]) => {
    const rest = Buffer.byteLength(` ${keyword}=${value}\n`)
    const length = rest + String(rest + String(rest).length).length
    return `${length} ${keyword}=${value}\n`
  })
  return { name: 'PaxHeader', content: content.join(''), type }
}

export interface ZipParts {
  readonly name: string | Buffer
  readonly content?: string | Buffer
  readonly method?: number
  readonly flags?: number
  readonly mode?: number
  readonly extra?: Buffer
  readonly crc?: number
  /** What stands between the header and the descriptor; else the content, compressed as `method` says. */
  readonly body?: Buffer
  /** How the sizes come: in front, in one of the descriptors that writers have, in both, or not at all. */
  readonly sizes?: 'header' | 'both' | 'signed' | 'unsigned' | 'signed64' | 'unsigned64' | 'none'
}

interface WrittenZip {
  readonly local: Buffer
  readonly central: (offset: number) => Buffer
}

export function zipMember(parts: ZipParts): WrittenZip {
  const { method = 8, mode = 0o100644, extra = Buffer.alloc(0), sizes = 'header' } = parts
  const name = Buffer.from(parts.name)
  const content = Buffer.from(parts.content ?? '')
  const body = parts.body ?? (method === 8 ? deflateRawSync(content) : content)
  const crc = parts.crc ?? crc32(content)
  const flags = parts.flags ?? (sizes === 'header' ? 0x0800 : 0x0808)
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt16LE(flags, 2)
  common.writeUInt16LE(method, 4)
  common.writeUInt16LE(name.length, 22)
  common.writeUInt16LE(extra.length, 24)
  const whole = Buffer.from(common)
  whole.writeUInt32LE(crc, 10)
  whole.writeUInt32LE(body.length, 14)
  whole.writeUInt32LE(content.length, 18)
  const local = Buffer.concat([
    Buffer.from('PK\x03\x04'),
    sizes === 'header' || sizes === 'both' ? whole : common,
    name,
    extra,
    body,
    descriptorOf(sizes, crc, body.length, content.length),
  ])
  return {
    local,
    central: offset => {
      const end = Buffer.alloc(14)
      end.writeUInt16LE(mode, 8)
      end.writeUInt32LE(offset, 10)
      whole.writeUInt16LE(0, 24)
      return Buffer.concat([Buffer.from('PK\x01\x02\x14\x03'), whole, end, name])
    },
  }
}

function descriptorOf(
  sizes: NonNullable<ZipParts['sizes']>,
  crc: number,
  compressed: number,
  size: number,
): Buffer {
  if (sizes === 'header' || sizes === 'none') return Buffer.alloc(0)
  const wide = sizes.endsWith('64')
  const bytes = Buffer.alloc(wide ? 20 : 12)
  bytes.writeUInt32LE(crc, 0)
  bytes.writeUInt32LE(compressed, 4)
  bytes.writeUInt32LE(size, wide ? 12 : 8)
  return sizes === 'both' || sizes.startsWith('signed')
    ? Buffer.concat([Buffer.from('PK\x07\x08'), bytes])
    : bytes
}

export interface ZipEnd {
  /** Indexes of the members that the directory leaves out. */
  readonly unlisted?: readonly number[]
  readonly count?: number
  readonly comment?: string
}

export function zipOf(
  members: readonly ZipParts[],
  { unlisted = [], count, comment = '' }: ZipEnd = {},
): Buffer {
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let offset = 0
  members.forEach((parts, i) => {
    const { local, central } = zipMember(parts)
    locals.push(local)
    if (!unlisted.includes(i)) centrals.push(central(offset))
    offset += local.length
  })
  const directory = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 0, 'latin1')
  end.writeUInt16LE(count ?? centrals.length, 8)
  end.writeUInt16LE(count ?? centrals.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...locals, directory, end, Buffer.from(comment)])
}
