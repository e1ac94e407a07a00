// One bucket of S3, or of a server that speaks it, through the AWS SDK.
import { Readable } from 'node:stream'
import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { S3Definition } from './definition.ts'
import {
  ObjectFailure,
  type ConnectObjects,
  type Copies,
  type FailureReason,
  type GetRequest,
  type ListRequest,
  type ObjectBody,
  type ObjectClient,
  type ObjectHead,
  type ObjectPage,
  type ObjectTimeouts,
  type PartRules,
  type SignRequest,
} from './object-client.ts'
import { withinTime } from './object-deadline.ts'
import { discard, ResponseBody } from './object-response.ts'
import { checkAnswer, headOf, pageOf } from './s3-answers.ts'
import { connectS3, type S3Connection } from './s3-connect.ts'
import { isImpossibleKey, s3Failure, s3ObjectFailure, S3Refusal, type ErrorAnswer } from './s3-failure.ts'
import { S3Writes, type Call } from './s3-write.ts'

export function s3Objects(definition: S3Definition): ConnectObjects {
  return async options => new S3Objects(definition, await connectS3(definition, options), options.timeouts)
}

/** How long the bucket is taken to be there after it was seen, so that a missing object costs one request. */
const BUCKET_SEEN_MS = 30_000

/** What a server says only of objects in a bucket that is there. */
const ABOUT_OBJECTS: ReadonlySet<FailureReason> = new Set(['missing-object', 'changed', 'range'])

class S3Objects implements ObjectClient {
  readonly order = 'utf8'
  readonly canStartAfter = true
  readonly #definition: S3Definition
  readonly #connection: S3Connection
  readonly #timeouts: ObjectTimeouts
  readonly #writes: S3Writes
  #bucketSeenAtMs = -Infinity

  constructor(definition: S3Definition, connection: S3Connection, timeouts: ObjectTimeouts) {
    this.#definition = definition
    this.#connection = connection
    this.#timeouts = timeouts
    this.#writes = new S3Writes({
      client: connection.client,
      definition,
      bucket: this.#bucket(),
      send: (call, signal, moreMs) => this.#send(call, signal, moreMs),
    })
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ObjectPage> {
    const { client, legacyList } = this.#connection
    const common = {
      ...this.#bucket(),
      Prefix: request.prefix,
      Delimiter: request.delimiter,
      MaxKeys: request.maxKeys,
      // XML 1.0 has no way to write most control characters, and its readers make one newline of CR LF.
      EncodingType: 'url',
    } as const
    const listing = this.#send(
      options =>
        legacyList
          ? client.send(
              new ListObjectsCommand({ ...common, Marker: request.token ?? request.startAfter }),
              options,
            )
          : client.send(
              new ListObjectsV2Command({
                ...common,
                StartAfter: request.startAfter,
                ContinuationToken: request.token,
              }),
              options,
            ),
      signal,
    )
    return listing.then(pageOf, (error: unknown) => {
      const failure = s3Failure(error, signal)
      // Said of where the store itself begins, it is about the configuration.
      const isStore = request.prefix === this.#definition.prefix && request.startAfter === undefined
      if (isStore || !isImpossibleKey(failure)) throw failure
      return { objects: [], prefixes: [], token: undefined }
    })
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead> {
    try {
      return await this.#headOnce(key, signal)
    } catch (error) {
      const failure = s3Failure(error, signal)
      if (!isUnexplained(failure)) throw failure
    }
    await this.#explain(key, signal)
    // It is there by now, or the answer has set the clock by which requests are signed.
    return this.#headOnce(key, signal)
  }

  async #headOnce(key: string, signal: AbortSignal): Promise<ObjectHead> {
    const command = new HeadObjectCommand({ ...this.#bucket(), Key: key, ChecksumMode: 'ENABLED' })
    try {
      return headOf(key, await this.#send(options => this.#connection.client.send(command, options), signal))
    } catch (error) {
      const failure = s3Failure(error, signal)
      const answer = answerOf(failure)
      const isKnownBucket = performance.now() - this.#bucketSeenAtMs < BUCKET_SEEN_MS
      if (answer?.status === 404 && isKnownBucket && answer.hasRequestId)
        throw new ObjectFailure('missing-object', { cause: failure.cause })
      throw failure
    }
  }

  /** Rejects with the reason for which HEAD was refused, as GET of the same object is told it; resolves where that is not refused. */
  async #explain(key: string, signal: AbortSignal): Promise<void> {
    const command = new GetObjectCommand({ ...this.#bucket(), Key: key, Range: 'bytes=0-0' })
    try {
      const { Body } = await this.#send(options => this.#connection.client.send(command, options), signal)
      discard(Body)
    } catch (error) {
      const failure = s3ObjectFailure(error, signal)
      // An empty object has no first byte.
      if (failure.reason !== 'range') throw failure
    }
  }

  async get(key: string, request: GetRequest, signal: AbortSignal): Promise<ObjectBody> {
    const command = new GetObjectCommand({
      ...this.#bucket(),
      Key: key,
      Range: `bytes=${request.start}-${request.end - 1}`,
      IfMatch: `"${request.pin}"`,
    })
    const answer = await this.#send(options => this.#connection.client.send(command, options), signal).catch(
      (error: unknown) => {
        throw s3ObjectFailure(error, signal)
      },
    )
    const stream = answer.Body
    try {
      checkAnswer(request, answer)
      if (!(stream instanceof Readable)) throw new ObjectFailure('interrupted')
    } catch (error) {
      discard(stream)
      throw error
    }
    return new ResponseBody(stream, { idleMs: this.#timeouts.idleMs, signal, failure: s3Failure })
  }

  readonly put: ObjectClient['put'] = (...args) => this.#writes.put(...args)
  readonly begin: ObjectClient['begin'] = (...args) => this.#writes.begin(...args)
  readonly part: ObjectClient['part'] = (...args) => this.#writes.part(...args)
  readonly complete: ObjectClient['complete'] = (...args) => this.#writes.complete(...args)
  readonly cancel: ObjectClient['cancel'] = (...args) => this.#writes.cancel(...args)
  readonly uploads: NonNullable<ObjectClient['uploads']> = (...args) => this.#writes.uploads(...args)
  readonly lastSentAtMs: NonNullable<ObjectClient['lastSentAtMs']> = (...args) =>
    this.#writes.lastSentAtMs(...args)
  readonly remove: ObjectClient['remove'] = (...args) => this.#writes.remove(...args)
  readonly removeMany: NonNullable<ObjectClient['removeMany']> = (...args) => this.#writes.removeMany(...args)

  get partRules(): PartRules {
    return this.#writes.partRules
  }

  get copies(): Copies {
    return this.#writes.copies
  }

  async signedUrl(key: string, request: SignRequest, signal: AbortSignal): Promise<string> {
    const { client, signer, region } = this.#connection
    if (!region.certain) await this.#learnRegion(signal)
    const command = new GetObjectCommand({
      ...this.#bucket(),
      Key: key,
      ResponseContentDisposition: request.disposition,
      ResponseContentType: request.mediaType,
    })
    const sign = (): Promise<string> =>
      getSignedUrl(signer, command, {
        expiresIn: request.expiresInSeconds,
        signingDate: new Date(Date.now() + client.config.systemClockOffset),
      })
    try {
      // Nothing is sent, but keys may have to be fetched.
      return await withinTime(sign, { signal, timeoutMs: this.#timeouts.headersMs })
    } catch (error) {
      throw s3Failure(error, signal)
    }
  }

  close(): void {
    this.#connection.retire()
  }

  /** What every request carries. */
  #bucket() {
    const { bucket, expectedBucketOwner, requesterPays } = this.#definition
    return {
      Bucket: bucket,
      ...(expectedBucketOwner !== undefined && { ExpectedBucketOwner: expectedBucketOwner }),
      ...(requesterPays && { RequestPayer: 'requester' as const }),
    }
  }

  async #learnRegion(signal: AbortSignal): Promise<void> {
    const command = new HeadBucketCommand(this.#bucket())
    try {
      await this.#send(options => this.#connection.client.send(command, options), signal)
    } catch (error) {
      // Without the right to ask, the region is as good a guess as before.
      const failure = s3Failure(error, signal)
      if (failure.reason !== 'denied') throw failure
    }
  }

  /**
   * One attempt; and a second one where the first one's answer was how to ask: the region of a bucket that nobody configured one for, or the server's time, by which the SDK
   * signs from then on.
   */
  async #send<T>(call: Call<T>, signal: AbortSignal, moreMs = 0): Promise<T> {
    const asked = this.#connection.region.current
    try {
      return await this.#attempt(call, signal, moreMs)
    } catch (error) {
      const failure = s3Failure(error, signal)
      const mended =
        failure.reason === 'clock' || (failure.reason === 'region' && this.#learntFrom(failure, asked))
      if (!mended) throw failure
    }
    return this.#attempt(call, signal, moreMs)
  }

  /** Whether there is a better region by now than the one that was `asked`. */
  #learntFrom(failure: ObjectFailure, asked: string): boolean {
    const { region } = this.#connection
    const actual = answerOf(failure)?.region
    if (!region.certain && actual !== undefined) {
      region.current = actual
      region.certain = true
    }
    return region.current !== asked
  }

  /**
   * Rejects with ObjectFailure. The SDK limits only the wait for headers, and waits for its providers of keys whatever happens. So all that it reads itself is limited here:
   * keys, the answer, and its body unless that is a stream.
   */
  async #attempt<T>(call: Call<T>, signal: AbortSignal, moreMs: number): Promise<T> {
    const { headersMs, idleMs } = this.#timeouts
    try {
      const requestTimeout = headersMs + moreMs
      const answer = await withinTime(abortSignal => call({ abortSignal, requestTimeout }), {
        signal,
        timeoutMs: requestTimeout + idleMs,
        discard: late => discard((late as { readonly Body?: unknown }).Body),
      })
      this.#bucketSeenAtMs = performance.now()
      this.#connection.region.certain = true
      return answer
    } catch (error) {
      const failure = s3Failure(error, signal)
      if (ABOUT_OBJECTS.has(failure.reason)) this.#bucketSeenAtMs = performance.now()
      throw failure
    }
  }
}

function answerOf(failure: ObjectFailure): ErrorAnswer | undefined {
  return failure instanceof S3Refusal ? failure.answer : undefined
}

/** Answers to HEAD have no body, so they do not say which refusal a 403 is, nor whether a 404 means the object or the bucket. */
function isUnexplained(failure: ObjectFailure): boolean {
  const answer = answerOf(failure)
  return (
    failure.reason !== 'missing-object' &&
    answer !== undefined &&
    answer.code === undefined &&
    [400, 403, 404].includes(answer.status)
  )
}
