// Real servers that tests talk to, as the environment names them, and the stores on them.
import type { Capabilities } from '../../src/store/store.ts'
import type { Harness } from '../contract/harness.ts'

/** What `REQUIRE_STORES` lists, separated by commas: with one of them missing the run fails instead of skipping. */
export const SERVERS = ['minio', 'moto', 'gcs', 'azurite', 'toxiproxy', 'nfs'] as const
export type ServerName = (typeof SERVERS)[number]

/**
 * The settings of a server, or undefined when the environment names none: `TEST_MINIO='endpoint=http://127.0.0.1:9000 access_key=… secret_key=…'`, the same with
 * TEST_MOTO, TEST_GCS, TEST_AZURITE, TEST_TOXIPROXY and TEST_NFS. `scripts/with-stores.sh` starts them and sets these.
 */
export function serverSettings(name: ServerName): Readonly<Record<string, string>> | undefined {
  const text = process.env[`TEST_${name.toUpperCase()}`]
  if (text !== undefined && text.trim() !== '') {
    const pairs = text.trim().split(/\s+/)
    return Object.fromEntries(
      pairs.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
  }
  if ((process.env['REQUIRE_STORES'] ?? '').split(',').includes(name))
    throw new Error(`REQUIRE_STORES lists ${name}, but TEST_${name.toUpperCase()} names no server`)
  return undefined
}

/** A kind of store to run suites on. */
export interface StoreUnderTest {
  /** For titles: 'S3 on MinIO (needs TEST_MINIO)'. */
  readonly title: string
  readonly available: boolean
  readonly capabilities: Capabilities
  /** A fresh and empty store; with `prefix`, the artifacts are below that prefix of keys, with decoys beside it. */
  make(options?: { readonly prefix?: string }): Promise<Harness>
}
