// The end of the process, also while the kernel does not answer.
import { setTimeout as delay } from 'node:timers/promises'

export const EXIT_FAILURE = 1
/** EX_CONFIG of sysexits.h. */
export const EXIT_CONFIG = 78

const GRACE_MS = 1000
const LOOK_MS = 20

/**
 * Ends the process with `code`, or with SIGKILL where a file operation hangs.
 *
 * An exit waits for the threads of the pool, and a thread that waits for a dead mount never returns; so operations get a
 * short time to end, and after it the process does not ask any more.
 */
export async function endProcess(code: number): Promise<never> {
  for (let waited = 0; fileOperationsUnderWay(); waited += LOOK_MS) {
    if (waited >= GRACE_MS) process.kill(process.pid, 'SIGKILL')
    await delay(LOOK_MS)
  }
  process.exit(code)
}

function fileOperationsUnderWay(): boolean {
  return process.getActiveResourcesInfo().some(resource => resource.startsWith('FSReq'))
}
