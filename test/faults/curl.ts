// curl with its output held back, so that a download stands still in its middle for as long as a test needs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface HeldDownload {
  /** Lets curl go on; resolves with its exit code and how many bytes of body it has written. */
  finish(): Promise<{ code: number | null; bytes: number }>
}

/**
 * Starts a download and resolves when the first bytes of its body are there.
 *
 * The pipe, curl's buffer and the socket's hold some megabytes; the service cannot send more until `finish` is called.
 */
export async function holdDownload(url: string, ...options: string[]): Promise<HeldDownload> {
  const curl = spawn('curl', ['-q', '-sS', '--noproxy', '*', '--max-time', '50', ...options, url], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const closed = once(curl, 'close')
  await Promise.race([once(curl.stdout, 'readable'), closed])
  return {
    finish: async () => {
      let bytes = 0
      for await (const chunk of curl.stdout) bytes += (chunk as Buffer).length
      const [code] = (await closed) as [number | null]
      return { code, bytes }
    },
  }
}
