// The client processes, forked once before anything is measured, so that no measurement holds the start of a process.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { DownloadResult, DownloadTask, LoadResult, LoadTask, Reply, Task } from './task.ts'

export class ClientPool implements Disposable {
  readonly #clients: readonly ChildProcess[]

  constructor(size: number) {
    const program = fileURLToPath(new URL('main.ts', import.meta.url))
    this.#clients = Array.from({ length: size }, () =>
      fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    )
  }

  /** Runs the tasks side by side, each in a process of its own. */
  async downloads(tasks: readonly DownloadTask[]): Promise<DownloadResult[]> {
    return this.#run<DownloadResult>(tasks)
  }

  async loads(tasks: readonly LoadTask[]): Promise<LoadResult[]> {
    return this.#run<LoadResult>(tasks)
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.kill()
  }

  async #run<Result>(tasks: readonly Task[]): Promise<Result[]> {
    if (tasks.length > this.#clients.length)
      throw new Error(`${tasks.length} tasks for ${this.#clients.length} clients`)
    // All of them, also when one fails: a late reply would be taken for that of the next task.
    const settled = await Promise.allSettled(
      tasks.map((task, index) => runIn<Result>(this.#clients[index]!, task)),
    )
    return settled.map(each => {
      if (each.status === 'rejected') throw each.reason
      return each.value
    })
  }
}

async function runIn<Result>(client: ChildProcess, task: Task): Promise<Result> {
  const settled = new AbortController()
  try {
    const answered = once(client, 'message', { signal: settled.signal }) as Promise<[Reply<Result>]>
    const exited = once(client, 'exit', { signal: settled.signal }).then(() => {
      throw new Error('a client process ended by itself')
    })
    client.send(task)
    const [reply] = await Promise.race([answered, exited])
    if ('failure' in reply) throw new Error(reply.failure)
    return reply.result
  } finally {
    settled.abort()
  }
}
