// PUT, POST and DELETE on what lies in a run, after the gate for changes.
import type { Run } from '../../runs/runs.ts'
import type { Asked, ArtifactTarget } from './outputs.ts'
import { answerUpload } from './upload.ts'

/** Fails before a byte of the body is read where the store takes no changes. */
export async function answerChange(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  await run.store.checkWritable({ signal: asked.signal })
  await answerUpload(asked, run, target.path)
}
