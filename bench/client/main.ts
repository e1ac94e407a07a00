// A client process: does one task at a time for the runner that forked it.
import { download } from './download.ts'
import { load } from './load.ts'
import type { Reply, Task } from './task.ts'

process.on('message', (task: Task) => {
  void perform(task).then(reply => process.send!(reply))
})

// The runner is gone, however it ended.
process.once('disconnect', () => process.exit())

async function perform(task: Task): Promise<Reply<unknown>> {
  try {
    return { result: task.kind === 'download' ? await download(task) : await load(task) }
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) }
  }
}
