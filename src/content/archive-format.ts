// What kind of archive bytes are, by how they begin: neither a name nor a client's word is asked.
import { isAppError } from '../errors.ts'
import type { UnpackFormat } from './unpack.ts'
import { BLOCK, parseHeader } from './unpack-tar-header.ts'

/** The first bytes that tell, where there are as many. */
export const TELLING_BYTES = BLOCK

/** Undefined for what is none that can be unpacked. A tar of nothing but zeros is none: so is any file that was made to be filled. */
export function formatOf(beginning: Buffer): UnpackFormat | undefined {
  if (beginning[0] === 0x1f && beginning[1] === 0x8b) return 'tar.gz'
  // A member, or the end of a zip without any.
  const signature = beginning.toString('latin1', 0, 4)
  if (signature === 'PK\x03\x04' || signature === 'PK\x05\x06') return 'zip'
  return isTar(beginning) ? 'tar' : undefined
}

function isTar(beginning: Buffer): boolean {
  if (beginning.length < BLOCK) return false
  try {
    return parseHeader(beginning.subarray(0, BLOCK)) !== undefined
  } catch (error) {
    if (isAppError(error)) return false
    throw error
  }
}
