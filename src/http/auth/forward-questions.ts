// What an existing service is asked, in words that it understands: which URL stands for which right to which run.
import type { ForwardPreset } from '../../config/config.ts'
import type { Access, Action } from '../gate.ts'

export interface Question {
  /** In place of the one of the configured URL. */
  readonly path?: string
  /** Besides those that say who asks. */
  readonly fields: Readonly<Record<string, string>>
}

/** How one kind of service is asked. */
export interface Preset {
  /** Where a configured URL names a host alone. */
  readonly path: string
  /** Header fields that say who asks. */
  readonly credentials: readonly string[]
  /** Whether who says nothing may be somebody there all the same, so that it has to be asked. */
  readonly knowsUnnamed: boolean
  /** Statuses that are a no, besides 403. */
  readonly refusals: readonly number[]
  /** `yes` and `no` are what needs no question. `access` of a level reads. */
  ask(access: Access): Question | 'yes' | 'no'
}

export interface Surroundings {
  readonly basePath: string
  readonly defaultConnection: string
  /** Of Polyaxon 2.x. */
  readonly namespace: string
}

type Of = Access['of']

/** By what a change is asked for, where a URL has a method. */
const METHODS: Readonly<Record<Action, string>> = { read: 'GET', write: 'POST', delete: 'DELETE' }

const IDENTITY = ['authorization', 'cookie'] as const
/** Of Polyaxon's clients: without it an InternalToken is none. */
const POLYAXON_IDENTITY = [...IDENTITY, 'x-polyaxon-service', 'x-polyaxon-internal']

export const PRESETS: Readonly<Record<ForwardPreset, (surroundings: Surroundings) => Preset>> = {
  nginx,
  'polyaxon-0': polyaxon0,
  'polyaxon-2': polyaxon2,
}

/** As nginx's auth_request is mostly configured. The URL is that of `/outputs`, whichever surface was asked, so that a rule has to know one form only. */
function nginx(surroundings: Surroundings): Preset {
  return {
    path: '/',
    credentials: IDENTITY,
    knowsUnnamed: true,
    refusals: [],
    ask: access => {
      const uri = `${surroundings.basePath}/outputs/${urlPath(namesOf(access.of))}${queryOf(access, surroundings)}`
      const method = METHODS[access.action]
      return {
        fields: {
          'X-Original-URI': uri,
          'X-Original-Method': method,
          'X-Origin-URI': uri,
          'X-Origin-Method': method,
        },
      }
    },
  }
}

/**
 * Polyaxon 2.x: `/auth/v1/` of its API, which its streams service asks too (haupt 2.18.0, streams/endpoints/auth_request.py). It knows the URLs of that service.
 *
 * Names that its URLs could not have are not asked about: `orgs` for an owner would make another kind of URL of a run's.
 */
function polyaxon2(surroundings: Surroundings): Preset {
  const root = `/streams/v1/${encodeURIComponent(surroundings.namespace)}`
  const uriOf = ({ owner, project, kind, id }: Of, action: Action): string | undefined => {
    if (![owner, project].every(isName) || owner === 'orgs' || (kind !== undefined && kind !== 'runs'))
      return undefined
    if (project === undefined) return `${root}/orgs/${owner!}/runs/multi/events/metric`
    if (id === undefined) return `${root}/${owner!}/${project}/runs/multi/events/metric`
    if (!UUID.test(id)) return undefined
    return `${root}/${owner!}/${project}/runs/${id}/${action === 'read' ? 'artifacts/tree' : 'artifacts'}`
  }
  return {
    path: '/auth/v1/',
    credentials: POLYAXON_IDENTITY,
    knowsUnnamed: false,
    refusals: [404],
    ask: access => {
      // No URL of that service is about all owners.
      if (access.of.owner === undefined) return 'yes'
      const uri = uriOf(access.of, access.action)
      if (uri === undefined) return 'no'
      return {
        fields: {
          'X-Origin-URI': uri + queryOf(access, surroundings),
          'X-Origin-Method': METHODS[access.action],
        },
      }
    },
  }
}

/**
 * Polyaxon 0.x has no service that decides, but its API gives a run to whoever may see it, and who sees a run there may read its outputs (polyaxon/polyaxon 0.6.1, api/experiments/views.py). It knows
 * no right to change them, for it has no URL that does.
 */
function polyaxon0(surroundings: Surroundings): Preset {
  const pathOf = ({ owner, project, kind, id }: Of): string | undefined => {
    if (owner === undefined) return '/api/v1/users'
    if (![owner, project].every(isSlug) || kind === 'runs') return undefined
    if (project === undefined) return `/api/v1/${owner}`
    if (id === undefined) return `/api/v1/${owner}/${project}`
    return /^[0-9]+$/.test(id) ? `/api/v1/${owner}/${project}/${kind!}/${id}` : undefined
  }
  return {
    path: '/',
    credentials: POLYAXON_IDENTITY,
    knowsUnnamed: false,
    refusals: [404],
    ask: access => {
      const path = access.action === 'read' ? pathOf(access.of) : undefined
      return path === undefined ? 'no' : { path: path + queryOf(access, surroundings), fields: {} }
    },
  }
}

/** Of the levels of 0.x (constants/urls.py) and of 2.x (the gateway's own expressions). Whatever a server or proxy does to URLs, these stay what they are. */
const isSlug = (name: string | undefined): boolean => name === undefined || /^[-\w]+$/.test(name)
const isName = (name: string | undefined): boolean =>
  name === undefined || (/^[-.:\w]+$/.test(name) && !/^\.+$/.test(name))
const UUID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i

function namesOf({ owner, project, kind, id }: Of): readonly string[] {
  const names = [owner, project, kind, id]
  const end = names.indexOf(undefined)
  return names.slice(0, end < 0 ? names.length : end) as string[]
}

function urlPath(names: readonly string[]): string {
  return names.map(name => `${encodeURIComponent(name)}/`).join('')
}

/** A yes is for the store that was named in the question: the default one unless the query says more. */
function queryOf({ connection }: Access, { defaultConnection }: Surroundings): string {
  return connection === defaultConnection ? '' : `?connection=${encodeURIComponent(connection)}`
}
