// Access keys that are replaced on disk, as Kubernetes does it, while the service goes on.
import { fromTemporaryCredentials } from '@aws-sdk/credential-providers'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, json } from '../support/client.ts'
import { s3Server } from '../support/store-s3.ts'
import { BAD, MiB, MINIO, startFaulty, type Faulty } from './objects-service.ts'

const LARGE = 24 * MiB
const LOOK_MS = 200

type Keys = Readonly<Record<string, string>>

/** A mounted secret: each key is a link through `..data`, which is swapped when the secret changes. */
class MountedSecret {
  readonly folder = mkdtempSync(join(tmpdir(), 'outputs-secret-'))
  #version = 0

  replace(keys: Keys): void {
    const version = `..version-${++this.#version}`
    mkdirSync(join(this.folder, version))
    for (const [key, value] of Object.entries(keys)) {
      writeFileSync(join(this.folder, version, key), value)
      if (this.#version === 1) symlinkSync(join('..data', key), join(this.folder, key))
    }
    symlinkSync(version, join(this.folder, '..next'))
    renameSync(join(this.folder, '..next'), join(this.folder, '..data'))
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Keys of their own, which are good for a quarter of an hour. */
async function newKeys(): Promise<Keys> {
  const { endpoint, ...masterCredentials } = s3Server('minio')!
  const { accessKeyId, secretAccessKey, sessionToken } = await fromTemporaryCredentials({
    params: { RoleArn: 'arn:aws:iam::000000000000:role/any', RoleSessionName: 'test', DurationSeconds: 900 },
    masterCredentials,
    clientConfig: { endpoint, region: 'us-east-1' },
  })()
  return {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken!,
  }
}

describe.skipIf(!MINIO.available)(`a secret that is rotated, on ${MINIO.title}`, () => {
  const secret = new MountedSecret()
  let faulty: Faulty
  let large: Buffer

  beforeAll(async () => {
    secret.replace({ ...(await newKeys()), AWS_SECRET_ACCESS_KEY: 'wrong' })
    faulty = await startFaulty(MINIO, {
      change: definition => ({
        ...definition,
        secret: { label: "the secret 'keys'", values: {}, files: [], folder: secret.folder },
      }),
      // One stream for each body: what goes on is one that the store let in before.
      store: {
        times: { lookMs: LOOK_MS, lookAfterRefusalMs: LOOK_MS },
        parallel: { fastBytesPerSecond: 0 },
      },
    })
    large = await faulty.write('large.bin', LARGE)
    for (let i = 0; i < 20; i++) await faulty.write(`set/${i}.bin`, 1000)
  }, 60_000)
  afterAll(async () => {
    await faulty.close()
    secret.remove()
  })

  async function expectServed(): Promise<void> {
    const file = await ask(`${faulty.url}large.bin`)
    expect([file.status, file.body.equals(large)]).toEqual([200, true])
    expect((await ask(`${faulty.url}set/?archive=zip`)).status).toBe(200)
  }

  async function expectRefused(): Promise<void> {
    for (const target of ['large.bin', 'set/?archive=zip', '?format=json']) {
      const answer = await ask(faulty.url + target)
      expect(answer.status).toBe(502)
      expect(json(answer)).toMatchObject({ trouble: 'credentials' })
      expect(answer.text).toContain(`'${BAD}'`)
      expect(answer.text).not.toMatch(/wrong"|GL08|AKIA|outputs-secret/)
    }
    await faulty.expectOtherStoreServed()
  }

  it('says that the keys are wrong, and serves as soon as they are replaced by right ones', async () => {
    await expectRefused()
    secret.replace(await newKeys())
    await delay(2 * LOOK_MS)
    await expectServed()
  }, 30_000)

  it('goes on without a failed request when good keys are replaced by other good ones', async () => {
    const failures: number[] = []
    let done = false
    const asking = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!done) {
          const { status } = await ask(`${faulty.url}set/?archive=tar`)
          if (status !== 200) failures.push(status)
        }
      }),
    )
    for (let i = 0; i < 4; i++) {
      secret.replace(await newKeys())
      await delay(2 * LOOK_MS)
    }
    done = true
    await asking
    expect(failures).toEqual([])
  }, 30_000)

  it('finishes downloads under way when the keys are replaced by wrong ones, refuses new ones, and is well again', async () => {
    const client = await faulty.connect('large.bin')
    const head = await client.head()
    let bytes = await client.skip(100_000)
    secret.replace({ ...(await newKeys()), AWS_SECRET_ACCESS_KEY: 'wrong' })
    await delay(2 * LOOK_MS)
    // The first request does not wait for the look that it causes.
    await ask(`${faulty.url}?format=json`)
    await delay(LOOK_MS)
    await expectRefused()
    bytes += await client.skip(LARGE - bytes)
    expect(bytes).toBe(Number(head.headers.get('content-length')))
    client.destroy()
    secret.replace(await newKeys())
    await delay(2 * LOOK_MS)
    await expectServed()
  }, 30_000)
})
