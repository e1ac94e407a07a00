// Looking for what the printed commands can show, in a service whose listings do not come to their end in time.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { findExamples } from '../../src/process/examples.ts'
import { Listening } from '../support/listening.ts'

/** Its patience, and a little more. */
const PATIENCE_MS = 3_200
const RUN = { entries: [], links: { archives: {} } }

let server: Listening
afterEach(() => server.close())

/** Has a run whose listing begins with `line`, in `lines` copies, and then goes on no more. */
async function listing(line: object, lines: number): Promise<string> {
  server = await Listening.start(({ method, url = '' }, response) => {
    if (method === 'HEAD') response.writeHead(404).end()
    else if (url.includes('ndjson')) response.write(`${JSON.stringify(line)}\n`.repeat(lines))
    else response.end(JSON.stringify(RUN))
  })
  return server.origin
}

it('gives up in the middle of a listing, and nothing of it fails later', async () => {
  // An empty file, of which no command can show a range.
  const origin = await listing({ links: { self: 'a' }, size: 0 }, 1)
  expect(await findExamples(origin)).toBeUndefined()
  await delay(200)
})

it.each([1, 20_000])(
  'leaves a listing that has %d more lines, and nothing of it fails later',
  async lines => {
    const origin = await listing({ links: { self: 'a' }, size: 10 }, lines)
    expect(await findExamples(origin)).toMatchObject({ range: '0-9' })
    await delay(PATIENCE_MS)
  },
)
