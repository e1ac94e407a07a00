// Where in a cloud a store is: the URLs that Polyaxon takes as `bucket`, the rules for names, and the prefix below.
import { isIPv4 } from 'node:net'

export type BucketKind = 's3' | 'gcs' | 'azure'

export interface BucketLocation {
  /** The bucket; of Azure the container. */
  readonly bucket: string
  /** '' or ending with a slash. */
  readonly prefix: string
  /** Azure, where the URL names it. */
  readonly account?: string
  /** Azure, where the account is in another cloud than the public one. */
  readonly endpoint?: string
}

/** What is wrong with a bucket: the predicate of a sentence about what was written. */
export interface BucketProblem {
  readonly problem: string
}

export const BUCKET_EXAMPLES: Readonly<Record<BucketKind, string>> = {
  s3: 's3://bucket or s3://bucket/prefix',
  gcs: 'gs://bucket or gs://bucket/prefix',
  azure: 'wasbs://container@account.blob.core.windows.net/ or the same with a prefix',
}

/** The kind of store that the scheme of a URL stands for. */
export function kindOfScheme(url: string): BucketKind | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase()
  return scheme === undefined ? undefined : KIND_BY_SCHEME.get(scheme)
}

const KIND_BY_SCHEME: ReadonlyMap<string, BucketKind> = new Map([
  ['s3', 's3'],
  ['gs', 'gcs'],
  ['wasb', 'azure'],
  ['wasbs', 'azure'],
  ['abfs', 'azure'],
  ['abfss', 'azure'],
])

/**
 * Reads a URL, or a bare name with or without a prefix. Prefixes are taken as they are written, without decoding.
 *
 * With `anyServer`, S3 names need not keep the rules of AWS: servers of one's own have others, and so have the oldest buckets of AWS, which only path style reaches.
 */
export function parseBucket(
  written: string,
  kind: BucketKind,
  { anyServer }: { readonly anyServer: boolean },
): BucketLocation | BucketProblem {
  const kindFound = kindOfScheme(written)
  if (kindFound !== undefined && kindFound !== kind)
    return {
      problem: `is a bucket of ${kindFound}, but the store is of ${kind}: expected ${BUCKET_EXAMPLES[kind]}`,
    }
  const [, scheme, authority, path] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/]*)(.*)$/is.exec(written)!
  const place = placeOf(kind, scheme?.toLowerCase(), authority!, path!)
  if ('problem' in place) return place
  const nameProblem = bucketNameProblem(kind, place.bucket, anyServer)
  if (nameProblem !== undefined) return { problem: nameProblem }
  const prefix = parsePrefix(place.path)
  if (typeof prefix !== 'string') return prefix
  return {
    bucket: place.bucket,
    prefix,
    ...(place.account !== undefined && { account: place.account }),
    ...(place.endpoint !== undefined && { endpoint: place.endpoint }),
  }
}

type Place = Omit<BucketLocation, 'prefix'> & { readonly path: string }

function placeOf(
  kind: BucketKind,
  scheme: string | undefined,
  authority: string,
  path: string,
): Place | BucketProblem {
  if (kind === 'azure' && scheme === 'https') return azurePlaceOfHttps(authority, path)
  if (scheme !== undefined && KIND_BY_SCHEME.get(scheme) === undefined)
    return { problem: `begins with ${scheme}://: expected ${BUCKET_EXAMPLES[kind]}` }
  if (kind === 'azure' && scheme !== undefined) return azurePlace(authority, path)
  return { bucket: authority, path }
}

/** `container@account.blob.core.windows.net`, or `.dfs.` instead of `.blob.` for the same account. */
function azurePlace(authority: string, path: string): Place | BucketProblem {
  const at = authority.indexOf('@')
  const account = azureAccount(authority.slice(at + 1))
  if (at < 0 || account === undefined)
    return { problem: `names no account of Azure: expected ${BUCKET_EXAMPLES.azure}` }
  return { ...account, bucket: authority.slice(0, at), path }
}

/** The address that the portal of Azure shows: `https://account.blob.core.windows.net/container/prefix`. */
function azurePlaceOfHttps(authority: string, path: string): Place | BucketProblem {
  const account = azureAccount(authority)
  if (account === undefined)
    return { problem: `names no account of Azure: expected ${BUCKET_EXAMPLES.azure}` }
  if (path.includes('?'))
    return {
      problem: 'has a query: put the part behind the question mark into the secret as AZURE_SAS_TOKEN',
    }
  const [, container = '', ...prefix] = path.split('/')
  return { ...account, bucket: container, path: prefix.length === 0 ? '' : `/${prefix.join('/')}` }
}

/** The public cloud, the national ones, and accounts with a DNS zone. */
const AZURE_HOST =
  /^([a-z0-9]{3,24})((?:\.z[0-9]{1,3})?)\.(?:blob|dfs)\.(core\.windows\.net|storage\.azure\.net|core\.usgovcloudapi\.net|core\.chinacloudapi\.cn)$/

function azureAccount(host: string): { account: string; endpoint?: string } | undefined {
  const match = AZURE_HOST.exec(host.toLowerCase())
  if (match === null) return undefined
  const [, account, zone, domain] = match as unknown as [string, string, string, string]
  if (zone === '' && domain === 'core.windows.net') return { account }
  return { account, endpoint: `https://${account}${zone}.blob.${domain}` }
}

/** The rules of each cloud, as far as they depend on the name alone. */
function bucketNameProblem(kind: BucketKind, name: string, anyServer: boolean): string | undefined {
  if (name === '') return `names no bucket: expected ${BUCKET_EXAMPLES[kind]}`
  // With any endpoint the SDK would speak to them in their own way (CreateSession).
  if (kind === 's3' && DIRECTORY_BUCKET.test(name))
    return 'is a directory bucket (S3 Express One Zone), whose lists have no order: expected a general purpose bucket'
  const { pattern, rule } = kind === 's3' && anyServer ? ANY_S3_NAME : NAME_RULES[kind]
  return pattern.test(name) && !isIPv4(name)
    ? undefined
    : `has a name that no ${kind === 'azure' ? 'container' : 'bucket'} of ${kind} can have: expected ${rule}`
}

/** Names that AWS keeps for directory buckets, and for access points to them. */
const DIRECTORY_BUCKET = /--xa?-s3$/

const ANY_S3_NAME = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/,
  rule: "3 to 255 letters, digits, '.', '_' and '-'",
}

const NAME_RULES: Readonly<Record<BucketKind, { readonly pattern: RegExp; readonly rule: string }>> = {
  s3: {
    pattern: /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    rule: "3 to 63 lower-case letters, digits, '.' and '-', a letter or digit at both ends (older and own servers' names with `pathStyle: true`)",
  },
  gcs: {
    pattern: /^(?=.{3,222}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*$/,
    rule: "3 to 63 lower-case letters, digits, '-', '_' and '.', a letter or digit at both ends (222 with dots)",
  },
  azure: {
    pattern: /^(?:(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*|\$root|\$web)$/,
    rule: "3 to 63 lower-case letters, digits and single '-', a letter or digit at both ends",
  },
}

/** '' or the segments of `path`, each with a slash behind it. */
function parsePrefix(path: string): string | BucketProblem {
  const inner = path.replace(/^\//, '').replace(/\/$/, '')
  if (inner === '') return path.length > 1 ? EMPTY_SEGMENT : ''
  const segments = inner.split('/')
  if (segments.includes('')) return EMPTY_SEGMENT
  const odd = segments.find(segment => segment === '.' || segment === '..')
  if (odd !== undefined) return { problem: `has '${odd}' in its prefix: expected the names of folders` }
  return `${inner}/`
}

const EMPTY_SEGMENT: BucketProblem = {
  problem: 'has an empty folder name in its prefix: expected single slashes',
}
