// Azure Blob Storage on Azurite: a fresh container for each store, changed behind its back by a plain client of the SDK.
import { randomUUID } from 'node:crypto'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { azureObjects } from '../../src/store/azure.ts'
import type { AzureDefinition } from '../../src/store/definition.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { Harness } from '../contract/harness.ts'
import { serverSettings, type StoreUnderTest } from './servers.ts'

const settings = serverSettings('azurite')

export const azurite: StoreUnderTest = {
  title: 'Azure Blob Storage on Azurite (needs TEST_AZURITE)',
  available: settings !== undefined,
  capabilities: {
    emptyDirectories: false,
    modes: false,
    links: false,
    changesInPlace: false,
    latency: 'network',
  },
  make: options => makeAzurite(options),
}

/** What the server that the environment names is entered with. */
export function azuriteAccess(): {
  readonly endpoint: string
  readonly account: string
  readonly key: string
} {
  const { endpoint, account, key } = settings ?? {}
  if (endpoint === undefined || account === undefined || key === undefined)
    throw new Error('TEST_AZURITE names no endpoint, account and key')
  return { endpoint, account, key }
}

/** Each was written by the SDK and looked for in the container's list. */
const REFUSED_NAMES: ReadonlyMap<string, string> = new Map([
  ['back\\slash', 'becomes back/slash, as on the real service'],
  ['\u0001\u007f', 'is kept, and from then on the list of its folder is 500: no XML can hold it'],
])

export interface AzuriteHarness extends Harness {
  readonly definition: AzureDefinition
  readonly container: ContainerClient
}

export async function makeAzurite(
  options: { readonly prefix?: string; readonly definition?: Partial<AzureDefinition> } = {},
): Promise<AzuriteHarness> {
  const { prefix = '' } = options
  const { endpoint, account, key } = azuriteAccess()
  const bucket = `outputs-azure-${randomUUID()}`
  const container = new ContainerClient(`${endpoint}/${bucket}`, new StorageSharedKeyCredential(account, key))
  await container.create()
  const write = async (name: string, content: Uint8Array): Promise<void> => {
    await container.getBlockBlobClient(name).upload(content, content.byteLength)
  }
  if (prefix !== '') {
    await write(`${prefix.slice(0, -1)}-decoy`, Buffer.from('decoy'))
    await write('decoy/file', Buffer.from('decoy'))
  }
  const definition: AzureDefinition = {
    ...{ kind: 'azure', name: 'models', readOnly: false, delivery: 'proxy', bucket, prefix, endpoint },
    secret: {
      label: "the secret 'azurite'",
      values: { AZURE_ACCOUNT_NAME: account, AZURE_ACCOUNT_KEY: key },
      files: [],
    },
    maxConnections: 64,
    signedUrlSeconds: 60,
    ...options.definition,
  }
  const store = openObjectStore(definition, azureObjects(definition))
  return {
    store,
    definition,
    container,
    keepsTimes: false,
    unsupportedNames: REFUSED_NAMES,
    write: (path, content) => write(prefix + path, content),
    remove: path => removeAll(container, prefix + path),
    close: async () => {
      await store.close()
      await container.delete()
    },
  }
}

/** Removes the blob `key` and everything below `key/`. */
async function removeAll(container: ContainerClient, key: string): Promise<void> {
  await container.getBlobClient(key).deleteIfExists()
  for await (const { name } of container.listBlobsFlat({ prefix: `${key}/` }))
    await container.getBlobClient(name).deleteIfExists()
}
