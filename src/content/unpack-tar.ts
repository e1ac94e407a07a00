// The members of a tar that is being received: ustar, pax (POSIX.1-2017), GNU's and older ones.
import { paddingSize } from './tar-format.ts'
import type { UnpackBudget } from './unpack-budget.ts'
import type { ArchiveInput } from './unpack-input.ts'
import { checkFolderName, decodeName, filePath, type Member } from './unpack-member.ts'
import { damaged, quoted, refused, truncated } from './unpack-refusal.ts'
import { BLOCK, parseHeader, paxRecords, paxSize } from './unpack-tar-header.ts'

/** An extended header, or GNU's for a long name: paths have at most 4096 bytes, but attributes of files stand there too. */
const MAX_EXTENSION_BYTES = 1024 * 1024
/** Extended headers before one member: POSIX has two, GNU two more. */
const MAX_EXTENSIONS = 8

/** What an extended header can say that changes what the content is. */
const SPARSE = /^(GNU\.sparse\.|SCHILY\.realsize$)/
const MULTI_VOLUME = /^GNU\.volume\.(filename|size|offset)$/

const REFUSED_TYPES: Readonly<Record<string, string>> = {
  '1': 'it is a hard link. Make the archive with --hard-dereference, or unpack it and upload the files',
  '2': 'it is a symbolic link. Make the archive with --dereference (-h), which puts the files in their place',
  '3': 'it is a device',
  '4': 'it is a device',
  '6': 'it is a pipe (FIFO)',
  D: 'it belongs to an incremental backup',
  M: 'it goes on from another volume. Make the archive as one file',
  S: 'it is a sparse file. Make the archive without --sparse',
}

interface TarMember {
  readonly type: string
  readonly name: string
  readonly linkName: Buffer
  readonly size: number
}

/**
 * Every file with its content. Folders have none and are only checked. Hard links are refused, or, with `copiesLinks`, given as copies of what they lead to.
 *
 * A tar must end with a block of zeros, after which nothing but zeros may come: one that ends without it may have been cut off between two members, and then the rest of
 * the members would be lost without anybody noticing.
 */
export async function* tarMembers(
  input: ArchiveInput,
  budget: UnpackBudget,
  copiesLinks = false,
): AsyncGenerator<Member, void> {
  for (let member; (member = await nextMember(input, budget)) !== undefined;) {
    const { type, name, size } = member
    // Its header is all there is to the label of a volume.
    if (type === 'V' && size === 0) continue
    if (isFolder(member)) {
      checkFolderName(name)
      if (size > 0) throw refused(name, 'it is a folder and has a content')
      continue
    }
    // A writer of pax may give it a content too.
    if (type === '1' && copiesLinks && size === 0) {
      const copyOf = filePath(decodeName(member.linkName))
      yield { name, path: filePath(name), size, content: input.stream(0, ''), copyOf }
      continue
    }
    if (type !== '0' && type !== '7')
      throw refused(name, REFUSED_TYPES[type] ?? `it is of the unknown type ${quoted(type)}`)
    const where = 'inside of a member'
    yield { name, path: filePath(name), size, content: input.stream(size, where) }
    await input.exactly(paddingSize(size), where)
  }
  await input.finish()
}

/** Before POSIX a folder was a file with a slash at the end of its name. */
function isFolder({ type, name }: TarMember): boolean {
  return type === '5' || (type === '0' && name.endsWith('/'))
}

/** Reads all headers of one member; undefined at the end of the archive. */
async function nextMember(input: ArchiveInput, budget: UnpackBudget): Promise<TarMember | undefined> {
  const extensions = new Extensions()
  for (let count = 0; count <= MAX_EXTENSIONS; count++) {
    const header = parseHeader(await headerBlock(input))
    if (header === undefined) {
      if (count > 0) throw truncated('between an extended header and its member')
      return undefined
    }
    if (!extensions.takes(header.type)) {
      const name = decodeName(extensions.path ?? header.name)
      budget.takeEntry(name.length)
      extensions.check(name)
      const linkName = extensions.linkPath ?? header.linkName
      return { type: header.type, name, linkName, size: extensions.size ?? header.size }
    }
    if (header.size > MAX_EXTENSION_BYTES)
      throw damaged(`an extended header has more than ${MAX_EXTENSION_BYTES} bytes`)
    budget.take(header.size)
    const where = 'inside of an extended header'
    extensions.add(header.type, await input.exactly(header.size, where))
    await input.exactly(paddingSize(header.size), where)
  }
  throw damaged(`a member has more than ${MAX_EXTENSIONS} extended headers`)
}

async function headerBlock(input: ArchiveInput): Promise<Buffer> {
  const block = await input.peek(BLOCK)
  if (block.length === 0) throw truncated('without the blocks of zeros that end a tar')
  return input.exactly(BLOCK, 'inside of a header')
}

/** What the headers before a member's own one say about it. */
class Extensions {
  #records = new Map<string, Buffer>()
  #longName: Buffer | undefined
  #longLink: Buffer | undefined

  takes(type: string): boolean {
    return 'xgLK'.includes(type)
  }

  add(type: string, content: Buffer): void {
    if (type === 'x') this.#records = paxRecords(content)
    else if (type === 'g') checkGlobal(paxRecords(content))
    else if (type === 'L') this.#longName = withoutNuls(content)
    else this.#longLink = withoutNuls(content)
  }

  /** An empty value takes back what was said before (POSIX.1-2017, pax). */
  get path(): Buffer | undefined {
    const path = this.#records.get('path')
    return path === undefined || path.length === 0 ? this.#longName : path
  }

  get linkPath(): Buffer | undefined {
    const path = this.#records.get('linkpath')
    return path === undefined || path.length === 0 ? this.#longLink : path
  }

  get size(): number | undefined {
    const size = this.#records.get('size')
    return size === undefined || size.length === 0 ? undefined : paxSize(size)
  }

  check(name: string): void {
    for (const keyword of this.#records.keys()) {
      if (SPARSE.test(keyword)) throw refused(name, `${REFUSED_TYPES['S']} (bsdtar: with --no-read-sparse)`)
      if (MULTI_VOLUME.test(keyword)) throw refused(name, REFUSED_TYPES['M']!)
    }
  }
}

/** Comments and defaults for owners and times may stand there, as `git archive` writes them; one path or size for all members makes no sense. */
function checkGlobal(records: ReadonlyMap<string, Buffer>): void {
  for (const keyword of records.keys())
    if (keyword === 'path' || keyword === 'size' || SPARSE.test(keyword) || MULTI_VOLUME.test(keyword))
      throw damaged(`its global header says something about '${keyword}', which only a member has`)
}

function withoutNuls(bytes: Buffer): Buffer {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, end)
}
