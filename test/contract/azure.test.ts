// The Azure driver held to the contract: on an emulator, and on a server of ours that pages and orders as accounts in the cloud do.
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { describe, expect, it, onTestFinished } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import type { ObjectClient } from '../../src/store/object-client.ts'
import { ScriptedAzure } from '../support/scripted-azure.ts'
import { azurite, azuriteAccess, makeAzurite } from '../support/store-azure.ts'
import type { Harness } from './harness.ts'
import { describeStore } from './store-suite.ts'

describe.skipIf(!azurite.available)(azurite.title, () => {
  describeStore('bare', azurite.capabilities, () => azurite.make())
  describeStore('behind a prefix', azurite.capabilities, () => azurite.make({ prefix: 'team a/run1/' }))
  describe('with each kind of key', keyCases)
})

const NEVER = new AbortController().signal
const TIMEOUTS = { connectMs: 2000, headersMs: 5000, idleMs: 5000 }

/** A SAS token for reading and listing, as the operator of an account makes one. */
function sasToken(expiresInMs: number): string {
  const { account, key } = azuriteAccess()
  return generateAccountSASQueryParameters(
    {
      expiresOn: new Date(Date.now() + expiresInMs),
      permissions: AccountSASPermissions.parse('rl'),
      resourceTypes: AccountSASResourceTypes.parse('co').toString(),
      services: AccountSASServices.parse('b').toString(),
    },
    new StorageSharedKeyCredential(account, key),
  ).toString()
}

function keyCases(): void {
  /** A client with `values` as its secret, on a container that holds one blob. */
  async function connected(values: Record<string, string>, publicEndpoint?: string): Promise<ObjectClient> {
    const harness = await makeAzurite()
    onTestFinished(() => harness.close())
    await harness.write('f/a b', Buffer.from('content'))
    const definition = { ...harness.definition, ...(publicEndpoint !== undefined && { publicEndpoint }) }
    const client = await azureObjects(definition)({ values, timeouts: TIMEOUTS })
    onTestFinished(() => client.close())
    return client
  }

  const withKey = (): Record<string, string> => {
    const { account, key } = azuriteAccess()
    return { AZURE_STORAGE_ACCOUNT_NAME: account, AZURE_STORAGE_ACCOUNT_KEY: key }
  }

  it.each([
    ['an account key', withKey],
    [
      'a connection string',
      () => {
        const { account, key } = azuriteAccess()
        return { AZURE_CONNECTION_STRING: `AccountName=${account};AccountKey=${key};` }
      },
    ],
    ['a SAS token', () => ({ AZURE_SAS_TOKEN: `?${sasToken(60_000)}` })],
    [
      'a connection string with a SAS token',
      () => ({ connection_string: `SharedAccessSignature=${sasToken(60_000)}` }),
    ],
  ])('lists and reads by %s', async (_, values) => {
    const client = await connected(values())
    const { objects } = await client.list({ prefix: 'f/', delimiter: '/', maxKeys: 10 }, NEVER)
    expect(objects).toMatchObject([{ key: 'f/a b', size: 7 }])
    const { etag } = await client.head('f/a b', NEVER)
    expect(objects[0]!.etag).toBe(etag)
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.get('f/a b', { start: 3, end: 7, pin: etag }, NEVER))
      chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe('tent')
  })

  // Azurite says AuthorizationFailure to all of them; what the cloud says, AuthenticationFailed, is in test/unit/azure-failure.test.ts.
  it.each([
    ['a wrong account key', () => ({ ...withKey(), AZURE_STORAGE_ACCOUNT_KEY: 'd3Jvbmc=' })],
    ['an expired SAS token', () => ({ AZURE_SAS_TOKEN: sasToken(-60_000) })],
  ])('is refused by %s, in answers without a body too', async (_, values) => {
    const client = await connected(values())
    const refusal = { reason: 'denied' }
    await expect(client.head('f/a b', NEVER)).rejects.toMatchObject(refusal)
    await expect(client.list({ prefix: '', delimiter: undefined, maxKeys: 1 }, NEVER)).rejects.toMatchObject(
      refusal,
    )
  })

  it('may not write by a SAS token for reading', async () => {
    const client = await connected({ AZURE_SAS_TOKEN: sasToken(60_000) })
    await expect(client.put('b', Buffer.from('b'), {}, NEVER)).rejects.toMatchObject({ reason: 'denied' })
  })

  const request = { disposition: `attachment; filename="a b"`, mediaType: 'text/x-log', expiresInSeconds: 60 }

  it('signs URLs by an account key, which anybody can fetch, with the name and type asked for', async () => {
    const client = await connected(withKey())
    const response = await fetch((await client.signedUrl('f/a b', request, NEVER))!)
    expect(await response.text()).toBe('content')
    expect(response.headers.get('content-disposition')).toBe(request.disposition)
    expect(response.headers.get('content-type')).toBe(request.mediaType)
  })

  it('signs URLs for the host that clients reach', async () => {
    const url = await (
      await connected(withKey(), 'https://blobs.example.com/')
    ).signedUrl('f/a b', request, NEVER)
    expect(url).toMatch(/^https:\/\/blobs\.example\.com\/outputs-azure-[-0-9a-f]+\/f\/a%20b\?/)
    expect(new URL(url!).searchParams.get('spr')).toBe('https')
  })

  it('signs URLs for another name of an emulator, which need its account in their path', async () => {
    const { origin } = new URL(azuriteAccess().endpoint)
    const client = await connected(withKey(), origin.replace('127.0.0.1', 'localhost'))
    const url = new URL((await client.signedUrl('f/a b', request, NEVER))!)
    expect(url.hostname).toBe('localhost')
    expect(await (await fetch(url)).text()).toBe('content')
  })

  it('signs nothing by a SAS token', async () => {
    const client = await connected({ AZURE_SAS_TOKEN: sasToken(60_000) })
    expect(await client.signedUrl('f/a b', request, NEVER)).toBeUndefined()
  })

  it('stores, replaces and removes, and removes what is not there', async () => {
    const client = await connected(withKey())
    await client.put('p', Buffer.from('one'), {}, NEVER)
    const { etag } = await client.head('p', NEVER)
    await client.put('p', Buffer.from('other'), {}, NEVER)
    expect(await client.head('p', NEVER)).toMatchObject({ size: 5 })
    await expect(client.get('p', { start: 0, end: 1, pin: etag }, NEVER)).rejects.toMatchObject({
      reason: 'changed',
    })
    await client.remove('p', NEVER)
    await client.remove('p', NEVER)
    await expect(client.head('p', NEVER)).rejects.toMatchObject({ reason: 'missing-object' })
  })
}

type Script = Partial<
  Pick<ScriptedAzure, 'namesPerPage' | 'emptyPages' | 'hierarchical' | 'tellsAccount' | 'version'>
>

async function scripted(script: Script): Promise<Harness> {
  const server = Object.assign(await ScriptedAzure.start(), script)
  const store = server.store()
  return {
    store,
    keepsTimes: false,
    unsupportedNames: new Map([['back\\slash', 'no blob has a backslash in its name']]),
    write: (path, content) => server.write(path, content),
    remove: path => server.remove(path),
    close: async () => {
      await store.close()
      await server.close()
    },
  }
}

const SCRIPTS: Readonly<Record<string, Script>> = {
  'a flat account, short and empty pages': { namesPerPage: 7, emptyPages: true },
  'a flat account that does not tell, of an old version': { tellsAccount: false, version: '2021-12-02' },
  'a hierarchical account': { hierarchical: true },
  'a hierarchical account, short and empty pages': { hierarchical: true, namesPerPage: 7, emptyPages: true },
  'a hierarchical account that does not tell, short pages': {
    hierarchical: true,
    tellsAccount: false,
    namesPerPage: 7,
  },
}

for (const [title, script] of Object.entries(SCRIPTS))
  describeStore(`Azure Blob Storage as scripted: ${title}`, azurite.capabilities, () => scripted(script))
