// A Python script that goes on answering: a line of JSON in, a line of JSON out. A client is imported once for many calls.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { environment } from './run.ts'

export class PythonSession {
  readonly #child: ReturnType<typeof spawn>
  readonly #lines: AsyncIterator<string>
  #errors = ''

  private constructor(child: ReturnType<typeof spawn>) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    child.stdin!.on('error', () => undefined)
  }

  static async start(
    python: string,
    script: string,
    options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
  ): Promise<PythonSession> {
    const child = spawn(python, [script], {
      cwd: options.cwd,
      env: { ...environment(), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    await once(child, 'spawn')
    return new PythonSession(child)
  }

  /** What the script answers to `question`. One question at a time. */
  async ask(question: unknown): Promise<unknown> {
    this.#child.stdin!.write(`${JSON.stringify(question)}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`The script ended instead of answering:\n${this.#errors}`)
    return JSON.parse(value)
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'close')
    this.#child.kill('SIGKILL')
    await ended
  }
}
