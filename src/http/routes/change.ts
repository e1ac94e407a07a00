// PUT, POST and DELETE on what lies in a run, after the gate for changes.
import { AppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { isForm } from '../form-upload.ts'
import { answerForm } from './form.ts'
import type { Asked, ArtifactTarget } from './outputs.ts'
import { answerRemoval, answerRemovals } from './removal.ts'
import { answerTransfer } from './transfer.ts'
import { answerUnpacking } from './unpacking.ts'
import { answerUpload } from './upload.ts'

/** Fails before a byte of the body is read where the store takes no changes. */
export async function answerChange(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  await run.store.checkWritable({ signal: asked.signal })
  switch (asked.method) {
    case 'PUT':
      takeUpload(asked)
      return target.slash ? answerUnpacking(asked, run, target.path) : answerUpload(asked, run, target.path)
    case 'DELETE':
      return answerRemoval(asked, run, target)
    default:
      return target.slash ? changeFolder(asked, run, target) : answerTransfer(asked, run, target)
  }
}

async function changeFolder(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  const { archive, delete: removes } = asked.query
  if (archive === undefined && removes !== true && isForm(asked.request.headers)) {
    takeUpload(asked)
    return answerForm(asked, run, target.path)
  }
  if (removes !== true || archive !== undefined)
    throw new AppError(
      'InvalidArgument',
      'Files are uploaded by a form (multipart/form-data). For a list of paths, say what is to be done: ?archive=zip (or tar, tar.gz, tar.zst) downloads it, ?delete removes it.',
      { op: 'resolve' },
    )
  return answerRemovals(asked, run, target.path)
}

function takeUpload({ request, response, dependencies }: Asked): void {
  dependencies.limits.uploads.take(request, response)
}
