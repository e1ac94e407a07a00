// An archive that comes in, as files in a folder of a store. Nothing of it is held whole or laid down anywhere in between.
import { AppError, isAppError } from '../errors.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Removal } from '../store/store.ts'
import { UnpackBudget, type UnpackLimits } from './unpack-budget.ts'
import { gunzipped } from './unpack-inflate.ts'
import { ArchiveInput } from './unpack-input.ts'
import type { Member } from './unpack-member.ts'
import { UnpackPaths } from './unpack-paths.ts'
import { refused, unforeseen } from './unpack-refusal.ts'
import { tarMembers } from './unpack-tar.ts'
import { UnpackWriter, type Written } from './unpack-writer.ts'
import { zipMembers } from './unpack-zip.ts'

export type UnpackFormat = 'tar' | 'tar.gz' | 'zip'

export interface UnpackOptions {
  readonly limits: UnpackLimits
  readonly signal?: AbortSignal | undefined
  /** What becomes of the files that were written before a failure. What they replaced does not come back. */
  readonly onFailure: 'keep' | 'remove'
  /** With `remove`, which of them go; all by default. */
  readonly mayRemove?: (path: ArtifactPath) => boolean
  /** Whether a file that is there already stays as it is, instead of being replaced. */
  readonly keepsExisting?: boolean
  /** Whether hard links become copies of the files in front of them. Only for an archive that `checkArchive` has let pass, which counts what they come to. */
  readonly copiesLinks?: boolean
}

/** Why an archive was not unpacked to its end, and what is left of it. */
export class UnpackError extends AppError {
  readonly written: Written
  /** Where it was asked for, what was removed again: at most what was written. */
  readonly removal: Removal | undefined

  constructor(cause: AppError, written: Written, removal: Removal | undefined) {
    const { kind, message, path, temporary, trouble } = cause
    super(kind, message, { op: 'unpack', path, temporary, trouble, cause })
    this.written = written
    this.removal = removal
  }
}

/**
 * Writes every file of the archive that `source` yields into `folder`, each as a whole or not at all, and replaces what is there, if it is not to be kept. Links, devices and whatever else is neither a file nor a
 * folder are refused; names are those that `parsePath` takes.
 *
 * Resolves only when the archive was read to its end and found to be whole. Fails with UnpackError: InvalidArgument or InvalidPath for an archive that is damaged, truncated or refused, TooLarge
 * beyond a limit, Aborted when the signal is aborted or the source fails, and like the store. Whatever ends it, nothing is under way any more, and the source was told to stop where it had
 * not ended. After a failure the removal is not bound to the signal, since an aborted upload is what it is for.
 */
export async function unpack(
  store: ArtifactStore,
  folder: ArtifactPath,
  format: UnpackFormat,
  source: AsyncIterable<Uint8Array>,
  { limits, signal, onFailure, mayRemove = () => true, keepsExisting, copiesLinks }: UnpackOptions,
): Promise<Written> {
  const remembers = onFailure === 'remove'
  const writer = new UnpackWriter(store, folder, { signal, remembers, keepsExisting })
  const input = new ArchiveInput(source, signal)
  const budget = new UnpackBudget(limits)
  try {
    for await (const member of membersOf(format, input, budget, copiesLinks))
      await writer.write(budgeted(member, budget))
    await writer.finish()
    return writer.written
  } catch (error) {
    await Promise.all([input.close(), writer.settle()])
    const removal = remembers ? await writer.remove(mayRemove) : undefined
    throw new UnpackError(isAppError(error) ? error : unforeseen(error), writer.written, removal)
  } finally {
    await input.close()
  }
}

/**
 * Reads the archive as `unpack` does with `copiesLinks`, and writes nothing: gives the paths of its files, relative to the folder. Fails with AppError for what `unpack` would fail for because
 * of the archive, as `UnpackPaths.add`, and where a hard link leads to no file that is in front of it.
 */
export async function checkArchive(
  format: UnpackFormat,
  source: AsyncIterable<Uint8Array>,
  { limits, signal }: Pick<UnpackOptions, 'limits' | 'signal'>,
): Promise<UnpackPaths> {
  const input = new ArchiveInput(source, signal)
  const budget = new UnpackBudget(limits)
  const paths = new UnpackPaths(limits)
  try {
    for await (const member of membersOf(format, input, budget, true)) {
      let size = member.copyOf === undefined ? 0 : linkedSize(member, member.copyOf, paths)
      budget.take(size)
      for await (const chunk of budgeted(member, budget).content) size += chunk.length
      paths.add(member.path, size)
    }
  } catch (error) {
    throw isAppError(error) ? error : unforeseen(error)
  } finally {
    await input.close()
  }
  return paths
}

function linkedSize({ name, path }: Member, copyOf: ArtifactPath, paths: UnpackPaths): number {
  const size = paths.sizeOf(copyOf)
  if (size !== undefined && copyOf !== path) return size
  throw refused(name, 'it is a hard link, and no other file in front of it is what it leads to')
}

function membersOf(
  format: UnpackFormat,
  input: ArchiveInput,
  budget: UnpackBudget,
  copiesLinks = false,
): AsyncIterable<Member> {
  switch (format) {
    case 'tar':
      return tarMembers(input, budget, copiesLinks)
    case 'tar.gz':
      return gunzippedMembers(input, budget, copiesLinks)
    case 'zip':
      return zipMembers(input, budget)
  }
}

async function* gunzippedMembers(
  input: ArchiveInput,
  budget: UnpackBudget,
  copiesLinks: boolean,
): AsyncGenerator<Member, void> {
  const tar = new ArchiveInput(gunzipped(input, budget))
  try {
    yield* tarMembers(tar, budget, copiesLinks)
  } finally {
    await tar.close()
  }
}

function budgeted(member: Member, budget: UnpackBudget): Member {
  budget.check(member.size ?? 0)
  return { ...member, content: counted(member.content, budget) }
}

async function* counted(
  content: AsyncIterable<Uint8Array>,
  budget: UnpackBudget,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of content) {
    budget.take(chunk.length)
    yield chunk
  }
}
