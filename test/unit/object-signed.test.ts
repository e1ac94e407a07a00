// A signed URL tried from outside: what of an answer, or of none, is told to operators.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openObjectStore } from '../../src/store/object-store.ts'
import { trySignedUrl } from '../../src/store/object-signed.ts'
import type { ProbeStep } from '../../src/store/store.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { makeCertificate } from '../support/certificates.ts'
import { Listening } from '../support/listening.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'

let server: Listening | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

async function tried(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  signal = new AbortController().signal,
): Promise<void> {
  server = await Listening.start(answer)
  await trySignedUrl(`${server.origin}/bucket/key?sig=OURS`, { name: 'lake' }, undefined, signal)
}

const UNUSABLE = "Clients cannot fetch files of the outputs store 'lake' by its signed URLs: "

describe('a signed URL', () => {
  it('is good when it leads to the one byte asked for, of which no more is read', async () => {
    let asked: IncomingMessage | undefined
    await tried((request, response) => {
      asked = request
      response.writeHead(206, { 'Content-Range': 'bytes 0-0/10' }).end('0')
    })
    expect(asked).toMatchObject({
      method: 'GET',
      url: '/bucket/key?sig=OURS',
      headers: { range: 'bytes=0-0' },
    })
    await server!.socketsDownTo(0)
  })

  it.each([
    [403, 'denied'],
    [404, 'misconfigured'],
    // A page for signing in, or a server that knows no ranges.
    [200, 'misconfigured'],
    [302, 'misconfigured'],
  ])('is not when the answer is %i, which is said', async (status, trouble) => {
    const error = await tried((_, response) => response.writeHead(status).end('x')).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({
      kind: 'Unavailable',
      trouble,
      message: `${UNUSABLE}the answer is ${status} instead of 206. Correct its publicEndpoint, or what stands there.`,
    })
  })

  it('is not when nothing listens there, or the answer has no end', async () => {
    await expect(
      tried((_, response) => void response.writeHead(206, { 'Content-Length': 1 }).destroy()),
    ).rejects.toMatchObject({ trouble: 'interrupted' })
    const { origin } = server!
    await server!.close()
    await expect(
      trySignedUrl(`${origin}/a?sig=OURS`, { name: 'lake' }, undefined, new AbortController().signal),
    ).rejects.toMatchObject({
      trouble: 'unreachable',
      message: `${UNUSABLE}nothing can be reached there. Correct its publicEndpoint, or what stands there.`,
      cause: { code: 'ECONNREFUSED' },
    })
  })

  it('is given up with its signal, also while nobody answers', async () => {
    const stop = new AbortController()
    const trying = tried(() => stop.abort(), stop.signal)
    await expect(trying).rejects.toMatchObject({ reason: 'aborted' })
    await server!.socketsDownTo(0)
  })
})

describeClient('openssl', findProgram('openssl'), openssl => {
  it('is tried with the certificates of clients and the configured ones, never without any', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'signed-'))
    try {
      const { cert, key } = makeCertificate(openssl, folder)
      server = await Listening.start((_, response) => response.writeHead(206).end('0'), { cert, key })
      const trying = (certificates?: string): Promise<void> =>
        trySignedUrl(server!.origin, { name: 'lake' }, certificates, new AbortController().signal)
      await trying(cert.toString())
      await expect(trying()).rejects.toMatchObject({
        trouble: 'misconfigured',
        message: expect.stringContaining('certificate is not trusted') as string,
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('the probe of a store that is configured to redirect', () => {
  async function deliverOf(values: Record<string, string>, readable = true): Promise<ProbeStep | undefined> {
    const bucket = new MemoryBucket()
    if (readable) bucket.store('a', 'content')
    const secret = { label: 'the environment', values, files: [] }
    const store = openObjectStore(bucketDefinition({ delivery: 'redirect', secret }), bucket.connect)
    return (await store.probe!()).deliver
  }

  it('fails where its keys cannot sign', async () => {
    expect(await deliverOf({ sign: 'no' })).toMatchObject({
      result: 'failed',
      elapsedMs: expect.any(Number) as number,
      error: { trouble: 'misconfigured', message: expect.stringContaining('cannot sign URLs') as string },
    })
  })

  it('has nothing to try where there is no artifact', async () => {
    expect(await deliverOf({ sign: 'no' }, false)).toEqual({
      result: 'skipped',
      detail: 'there is no artifact to read',
    })
  })
})
