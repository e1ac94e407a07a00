// The settings of who is let in; rows of the one table.
import { FORWARD_PRESETS, JWT_ALGORITHMS, type ForwardPreset } from './config.ts'
import { setting } from './setting.ts'
import { duration, fileOrNone, oneOf, pathSegment, severalOf, textOrNone, urlOrNone } from './value.ts'

export const AUTH_SETTINGS = {
  'auth.tokensFile': setting({
    type: fileOrNone,
    default: '',
    env: 'AUTH_TOKENS_FILE',
    meaning:
      'File of the tokens that are let in, by their hashes, with what each gives the right to. It is read again when it changes.',
  }),
  'auth.jwt.issuer': setting({
    type: urlOrNone,
    default: '',
    env: 'AUTH_JWT_ISSUER',
    meaning: 'Issuer whose web tokens (JWT) are let in, as their `iss` has it.',
  }),
  'auth.jwt.audience': setting({
    type: textOrNone,
    default: '',
    env: 'AUTH_JWT_AUDIENCE',
    meaning:
      'What the `aud` of these tokens must name, so that those for other services are worth nothing here.',
  }),
  'auth.jwt.jwksUrl': setting({
    type: urlOrNone,
    default: '',
    env: 'AUTH_JWT_JWKS_URL',
    meaning:
      'Where the keys of the issuer are (JWKS). Without it, `/.well-known/openid-configuration` below the issuer says that.',
  }),
  'auth.jwt.claim': setting({
    type: textOrNone,
    default: 'scope',
    env: 'AUTH_JWT_CLAIM',
    meaning:
      'Claim with what a token gives the right to, such as `outputs:read:ann/mnist`, or the way to it with dots, such as `resource_access.outputs.roles`.',
  }),
  'auth.jwt.algorithms': setting({
    type: severalOf(JWT_ALGORITHMS),
    default: JWT_ALGORITHMS,
    env: 'AUTH_JWT_ALGORITHMS',
    meaning: 'Signatures that are taken, all of them asymmetric ones.',
  }),
  'auth.jwt.clockTolerance': setting({
    type: duration(0, 300_000),
    default: 30_000,
    env: 'AUTH_JWT_CLOCK_TOLERANCE',
    meaning: "How far the issuer's clock may be from ours.",
  }),
  'auth.forward.url': setting({
    type: urlOrNone,
    default: '',
    env: 'AUTH_FORWARD_URL',
    meaning:
      'Service that is asked who may do what, as the `auth_request` of nginx asks, such as `http://polyaxon-polyaxon-api`. None unless it is given.',
  }),
  'auth.forward.preset': setting<ForwardPreset>({
    type: oneOf(FORWARD_PRESETS),
    default: 'nginx',
    env: 'AUTH_FORWARD_PRESET',
    meaning:
      'What that service understands: URLs of `/outputs` in `X-Original-URI` (`nginx`), or what the platform itself asks: `polyaxon-2` (also 1.x) or `polyaxon-0`.',
  }),
  'auth.forward.namespace': setting({
    type: pathSegment,
    default: 'polyaxon',
    env: 'AUTH_FORWARD_NAMESPACE',
    meaning: 'Namespace of the runs, which stands in the URLs that `polyaxon-2` is asked about.',
  }),
  'auth.forward.timeout': setting({
    type: duration(100, 60_000),
    default: 5_000,
    env: 'AUTH_FORWARD_TIMEOUT',
    meaning: 'How long that service may take to answer. Without an answer nobody is let in (503).',
  }),
  'auth.forward.cacheAllowed': setting({
    type: duration(0, 3_600_000),
    default: 60_000,
    env: 'AUTH_FORWARD_CACHE_ALLOWED',
    meaning: 'How long its yes is good, and so how long somebody may go on who has just lost a right.',
  }),
  'auth.forward.cacheRefused': setting({
    type: duration(0, 3_600_000),
    default: 5_000,
    env: 'AUTH_FORWARD_CACHE_REFUSED',
    meaning: 'How long its no is good.',
  }),
  'auth.links.keysFile': setting({
    type: fileOrNone,
    default: '',
    env: 'AUTH_LINKS_KEYS_FILE',
    meaning:
      'File of the keys that sign links to single files, archives and uploads (`/links`). Without it there are none. It is read again when it changes.',
  }),
  'auth.links.maxAge': setting({
    type: duration(1_000, 366 * 24 * 3_600_000),
    default: 7 * 24 * 3_600_000,
    env: 'AUTH_LINKS_MAX_AGE',
    meaning: 'How long a link may be good; an hour where nothing is said.',
  }),
} as const
