// What the SDK signs or authorizes requests with.
import { AnonymousCredential, StorageSharedKeyCredential, type BlobServiceClient } from '@azure/storage-blob'
import type { AzureAccess } from './azure-access.ts'
import { ObjectFailure } from './object-client.ts'

export type SdkCredential = BlobServiceClient['credential']

/** The credential of `access`. @azure/identity, which is large, is loaded only for those that need tokens. */
export async function credentialFor({ endpoint, credential }: AzureAccess): Promise<SdkCredential> {
  switch (credential.kind) {
    case 'account-key':
      return new StorageSharedKeyCredential(credential.account, credential.key)
    case 'sas':
      return new AnonymousCredential()
    case 'service-principal':
    case 'surroundings':
      // The SDK refuses to send tokens over plain http, whose error is of no use to the operator.
      if (!endpoint.startsWith('https:'))
        throw new ObjectFailure('misconfigured', {
          advice: 'The connection has no keys, and identities need an endpoint with https: add one of them.',
        })
      return tokenCredential(credential)
  }
}

async function tokenCredential(
  credential: Extract<AzureAccess['credential'], { kind: 'service-principal' | 'surroundings' }>,
): Promise<SdkCredential> {
  const { ClientSecretCredential, DefaultAzureCredential } = await import('@azure/identity')
  if (credential.kind === 'service-principal') {
    const { tenantId, clientId, clientSecret, authorityHost } = credential
    return new ClientSecretCredential(
      tenantId,
      clientId,
      clientSecret,
      authorityHost === undefined ? {} : { authorityHost },
    )
  }
  const { tenantId, clientId } = credential
  return new DefaultAzureCredential({
    ...(tenantId !== undefined && { tenantId }),
    ...(clientId !== undefined && { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }),
  })
}
