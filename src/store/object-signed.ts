// A signed URL, tried as a client would use it: from outside, without keys, by the public endpoint.
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { AppError, type StoreTrouble } from '../errors.ts'
import type { ObjectStoreDefinition } from './definition.ts'
import { ObjectAgents } from './object-agents.ts'
import { withinTime } from './object-deadline.ts'
import { ObjectFailure } from './object-client.ts'
import { networkVerdict } from './object-network.ts'
import { withoutSecrets } from './object-verdict.ts'

const CONNECT_MS = 5000
const ANSWER_MS = 10_000

/**
 * Resolves when a byte of what `url` leads to has come; the object must not be empty. Rejects with AppError, or ObjectFailure where the definition's certificates cannot be read
 * or the signal is aborted.
 *
 * Certificates are verified whatever the definition says: clients do.
 */
export async function trySignedUrl(
  url: string,
  { name }: Pick<ObjectStoreDefinition, 'name'>,
  certificates: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const agents = new ObjectAgents({ maxConnections: 1, connectMs: CONNECT_MS, verifyTls: true, certificates })
  try {
    await withinTime(ending => firstByte(new URL(url), agents, ending), { signal, timeoutMs: ANSWER_MS })
  } catch (error) {
    if (error instanceof ObjectFailure && error.reason === 'aborted') throw error
    throw inWords(error, name)
  } finally {
    agents.retire()
  }
}

/** What the end of a signed URL answered in place of the byte. */
class OtherAnswer extends Error {
  override readonly name = 'OtherAnswer'
  readonly status: number

  constructor(status: number) {
    super(`status ${status}`)
    this.status = status
  }
}

async function firstByte(url: URL, agents: ObjectAgents, signal: AbortSignal): Promise<void> {
  const { request } = url.protocol === 'https:' ? https : http
  const asking = request(url, {
    agent: agents.for(url.protocol),
    headers: { Range: 'bytes=0-0' },
    signal,
  })
  // What happens after the answer has begun shows in its body.
  asking.on('error', () => undefined).end()
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  try {
    const { statusCode = 0 } = answer
    if (statusCode !== 206) throw new OtherAnswer(statusCode)
    for await (const chunk of answer as AsyncIterable<Buffer>) if (chunk.length > 0) return
    throw new ObjectFailure('interrupted')
  } finally {
    answer.destroy()
  }
}

const ENDINGS: Partial<Record<StoreTrouble, string>> = {
  unreachable: 'nothing can be reached there',
  timeout: 'nothing answers there in time',
  interrupted: 'the answer broke off',
}

function inWords(error: unknown, name: string): AppError {
  if (error instanceof OtherAnswer) {
    const { status } = error
    const trouble = status === 401 || status === 403 ? 'denied' : 'misconfigured'
    return unusable(name, trouble, `the answer is ${status} instead of 206`, error)
  }
  const verdict = error instanceof ObjectFailure ? error : networkVerdict(error)
  const trouble = (verdict?.reason ?? 'interrupted') as StoreTrouble
  const what = ENDINGS[trouble] ?? 'it cannot be used'
  return unusable(name, trouble, what, withoutSecrets(error), verdict?.advice)
}

function unusable(
  name: string,
  trouble: StoreTrouble,
  what: string,
  cause: Error,
  advice = 'Correct its publicEndpoint, or what stands there.',
): AppError {
  return new AppError(
    'Unavailable',
    `Clients cannot fetch files of the outputs store '${name}' by its signed URLs: ${what}. ${advice}`,
    { op: 'read', trouble, cause },
  )
}
