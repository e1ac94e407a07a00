// The members of a zip that is being received: read from their local headers, before the directory at the end is there.
import { crc32, createInflateRaw } from 'node:zlib'
import type { UnpackBudget } from './unpack-budget.ts'
import { INFLATED_BYTES, inflated } from './unpack-inflate.ts'
import type { ArchiveInput } from './unpack-input.ts'
import { checkFolderName, filePath, type Member } from './unpack-member.ts'
import { damaged, refused } from './unpack-refusal.ts'
import { MemberSet, readDirectory } from './unpack-zip-directory.ts'
import {
  isEmptyHere,
  mismatch,
  readDescriptor,
  readLocalHeader,
  type LocalHeader,
} from './unpack-zip-records.ts'
import { STORED, type ZipContent } from './zip-format.ts'

const LOCAL = 0x04034b50
const AFTER_MEMBERS = [0x02014b50, 0x05054b50, 0x06064b50, 0x06054b50]

/**
 * Every file with its content. Folders have none and are only checked.
 *
 * After the last one it reads on to the end of the archive: one whose directory is missing, or lists anything else than what was unpacked, is not whole. Only the directory says what is
 * a symbolic link, so such an archive fails after a link's text was unpacked as a file.
 */
export async function* zipMembers(input: ArchiveInput, budget: UnpackBudget): AsyncGenerator<Member, void> {
  const members = new MemberSet()
  for (;;) {
    const offset = input.position
    const signature = (await input.exactly(4, 'without a directory')).readUInt32LE()
    if (AFTER_MEMBERS.includes(signature)) return readDirectory(input, members, signature, offset)
    if (signature !== LOCAL)
      throw damaged(
        offset === 0 ? 'it does not begin like a zip' : 'there is no zip header where one must be',
      )
    const header = await readLocalHeader(input)
    budget.takeEntry(header.rawName.length)
    const content = new VerifiedContent(header, input, budget)
    if (header.isFolder) await expectFolder(header, content)
    else yield { name: header.name, path: filePath(header.name), size: sizeOf(header), content }
    const { rawName, method } = header
    members.add({ rawName, method, offset, ...content.found })
  }
}

function sizeOf({ streamed, content }: LocalHeader): number | undefined {
  return streamed ? undefined : content.size
}

async function expectFolder({ name }: LocalHeader, content: VerifiedContent): Promise<void> {
  checkFolderName(name)
  for await (const chunk of content)
    if (chunk.length > 0) throw refused(name, 'it is a folder and has a content')
}

class VerifiedContent implements AsyncIterable<Uint8Array> {
  readonly #header: LocalHeader
  readonly #input: ArchiveInput
  readonly #budget: UnpackBudget
  #found: ZipContent | undefined

  constructor(header: LocalHeader, input: ArchiveInput, budget: UnpackBudget) {
    this.#header = header
    this.#input = input
    this.#budget = budget
  }

  /** Only after the content was read to its end. */
  get found(): ZipContent {
    if (this.#found === undefined) throw new Error('The member before has not been read to its end.')
    return this.#found
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    const { name, streamed, content } = this.#header
    const start = this.#input.position
    let size = 0
    let crc = 0
    for await (const chunk of this.#chunks()) {
      size += chunk.length
      if (!streamed && size > content.size) throw mismatch(name)
      crc = crc32(chunk, crc)
      yield chunk
    }
    const found = { crc, size, compressedSize: this.#input.position - start }
    if (streamed) await readDescriptor(this.#input, name, found)
    else if (!isSame(found, content)) throw mismatch(name)
    this.#found = found
  }

  async *#chunks(): AsyncGenerator<Buffer, void> {
    const { method } = this.#header
    if (method === STORED)
      yield* this.#input.stream(await storedSize(this.#header, this.#input), 'inside of a member')
    else yield* inflated(createInflateRaw({ chunkSize: INFLATED_BYTES }), this.#input, this.#budget)
  }
}

function isSame(a: ZipContent, b: ZipContent): boolean {
  return a.crc === b.crc && a.size === b.size && a.compressedSize === b.compressedSize
}

/** Where a content ends that is neither compressed nor preceded by its size, nothing in the stream tells: what looks like a descriptor may be a part of it. */
async function storedSize(
  { name, isFolder, streamed, content }: LocalHeader,
  input: ArchiveInput,
): Promise<number> {
  if (content.compressedSize !== content.size) throw mismatch(name)
  // Info-ZIP gives its members of no size a descriptor too.
  if (!streamed || isFolder || content.size > 0 || (await isEmptyHere(input))) return content.size
  throw refused(
    name,
    'it is neither compressed nor has its size in front, so that its end cannot be found in a stream. Write the zip to a file first, compress it, or send a tar',
  )
}
