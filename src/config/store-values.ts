// The types of value that only outputs stores have: names in Kubernetes and in the clouds, origins, mount paths.
import { isAbsolute, normalize } from 'node:path'
import type { ValueType } from './value.ts'

/** A text that `pattern` matches whole. */
function text(
  name: string,
  expected: string,
  pattern: RegExp,
  options: Pick<ValueType<string>, 'isConfidential'> = {},
): ValueType<string> {
  return {
    name,
    expected,
    parse: found => (typeof found === 'string' && pattern.test(found) ? found : undefined),
    format: String,
    ...options,
  }
}

/** It becomes a parameter of URLs and a part of messages. */
export const connectionName = text(
  'name',
  "a name of letters, digits, '-', '_' and '.', at most 128 of them",
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
)

/**
 * What no name is: an access key that was put in its place. They have 32 signs or more of one kind or in mixed case, without a dot; the ids that AWS gives with them have 20.
 */
const NO_KEY = '(?![A-Za-z0-9]{32,}$)(?!(?=[^.]*[a-z])(?=[^.]*[A-Z])[^.]{32,}$)(?!A[A-Z]{3}[A-Z0-9]{16}$)'

/** A DNS subdomain (RFC 1123), as Kubernetes calls secrets, config maps and claims; never a path. */
export const objectName = text(
  'name',
  "the name of a Kubernetes object: lower-case letters, digits, '-' and '.'",
  new RegExp(`^(?=.{1,253}$)${NO_KEY}[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`),
  { isConfidential: true },
)

/** What Kubernetes allows for a key in a secret: never `.`, `..` or a path. */
export const secretKeyName = text(
  'name',
  "the name of a key in the secret, not the key itself: letters, digits, '-', '_' and '.'",
  new RegExp(`^(?!\\.\\.|\\.$)${NO_KEY}[A-Za-z0-9._-]{1,253}$`),
  { isConfidential: true },
)

export const region = text('region', 'the name of a region such as eu-west-1', /^[A-Za-z0-9-]{1,64}$/, {
  isConfidential: true,
})

export const accountId = text('account id', 'an AWS account id of 12 digits', /^[0-9]{12}$/)

/** A key id, an alias or an ARN: the service that encrypts knows which ones there are. */
export const kmsKey = text(
  'key id',
  'the id, the alias or the ARN of a KMS key',
  /^[A-Za-z0-9:/_+=,.@-]{1,2048}$/,
  { isConfidential: true },
)

export const projectId = text('project id', 'the id of a Google Cloud project', /^[a-z0-9.:-]{4,100}$/)

export const absolutePath: ValueType<string> = {
  name: 'path',
  expected: 'an absolute path',
  parse: found =>
    typeof found === 'string' && isAbsolute(found) && !found.includes('\0')
      ? normalize(found).replace(/(?<=.)\/$/, '')
      : undefined,
  format: String,
}

/** A path within a volume. */
export const relativePath: ValueType<string> = {
  name: 'path',
  expected: "a relative path without '..'",
  parse: found =>
    typeof found === 'string' &&
    found !== '' &&
    !isAbsolute(found) &&
    !found.includes('\0') &&
    !found.split('/').includes('..')
      ? found
      : undefined,
  format: String,
}

/** Scheme, host and port (RFC 6454), and nothing else that could hold credentials or be lost. */
export const origin: ValueType<string> = {
  name: 'origin',
  expected:
    'the origin of a server such as https://minio.example.org:9000, without a path, a user or a query',
  parse: found => {
    if (typeof found !== 'string' || !URL.canParse(found)) return undefined
    const url = new URL(found)
    const isOrigin =
      (url.protocol === 'https:' || url.protocol === 'http:') &&
      url.pathname === '/' &&
      url.username + url.password + url.search + url.hash === ''
    return isOrigin ? url.origin : undefined
  },
  format: String,
}

/** An internal location of nginx, `/name/`, of characters that need no escape in a URI (RFC 3986 2.3). */
export const location: ValueType<string> = {
  name: 'location',
  expected:
    "a location of the web server in front such as /outputs-internal/: letters, digits, '.', '_', '~', '-'",
  parse: found => {
    if (typeof found !== 'string' || !/^(\/[A-Za-z0-9._~-]+)+\/?$/.test(found)) return undefined
    if (found.split('/').some(segment => segment === '.' || segment === '..')) return undefined
    return found.endsWith('/') ? found : `${found}/`
  },
  format: String,
}
