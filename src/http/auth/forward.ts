// Callers of whom an existing service says what they may do, asked as nginx's auth_request asks.
import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ForwardDefinition } from '../../config/config.ts'
import { AppError } from '../../errors.ts'
import { isRunReference } from '../../runs/runs.ts'
import type { Access, Caller } from '../gate.ts'
import { clientAddress } from '../peer.ts'
import type { Mode } from './authority.ts'
import { PRESETS, type Preset, type Surroundings } from './forward-questions.ts'
import { AskedService } from './forward-service.ts'

type Fields = Readonly<Record<string, string>>

/**
 * Recognises everybody who says anything, and where the service may know better everybody: what that is worth, the answers say. Of a request only what says who sends it goes there, never its body.
 */
export function forward(settings: ForwardDefinition, surroundings: Omit<Surroundings, 'namespace'>): Mode {
  const preset = PRESETS[settings.preset]({ ...surroundings, namespace: settings.namespace })
  const service = new AskedService({
    ...settings,
    url: serviceUrl(settings.url, preset),
    refusals: preset.refusals,
  })
  const nameOf = namer()
  return {
    recognise: request => {
      const credentials = fieldsOf(request, preset.credentials)
      const isUnnamed = credentials['authorization'] === undefined && credentials['cookie'] === undefined
      if (isUnnamed && !preset.knowsUnnamed) return Promise.resolve(undefined)
      const caller = callerWho(service, preset, { ...credentials, ...addressOf(request) }, isUnnamed)
      return Promise.resolve({ ...caller, name: isUnnamed ? 'anonymous' : nameOf(credentials) })
    },
    close: () => service.close(),
  }
}

/** The same at every path where the preset has one for each question. */
function serviceUrl(text: string, { path }: Preset): URL {
  const url = new URL(text)
  return url.pathname === '/' ? new URL(path, url) : url
}

function fieldsOf({ headers }: IncomingMessage, names: readonly string[]): Fields {
  return Object.fromEntries(
    names.flatMap(name => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

/** The client's own address, as far as it is known; what a client says of itself is not handed on. */
function addressOf(request: IncomingMessage): Fields {
  const address = clientAddress(request)
  return address === '' ? {} : { 'x-forwarded-for': address }
}

/** The same name for the same credentials, from which they cannot be found out, not even by trying. */
function namer(): (credentials: Fields) => string {
  const key = randomBytes(32)
  return credentials =>
    `forward:${createHmac('sha256', key).update(JSON.stringify(credentials)).digest('hex').slice(0, 12)}`
}

function callerWho(
  service: AskedService,
  preset: Preset,
  who: Fields,
  isUnnamed: boolean,
): Omit<Caller, 'name'> {
  const may = async (access: Access, signal: AbortSignal): Promise<boolean> => {
    const question = preset.ask(access)
    if (question === 'yes' || question === 'no') return question === 'yes'
    const answer = await service.ask(question.path, { ...question.fields, ...who }, signal)
    if (answer === 'stranger') throw unauthenticated(isUnnamed)
    return answer === 'yes'
  }
  return {
    seesAll: false,
    judge: async (access, signal) => {
      // A run of which the project is not known could be one of any project.
      if (Object.values(access.of).includes('')) return 'hidden'
      const isOfRun = isRunReference(access.of)
      // Levels are not changed: of them it is only asked who may know of them.
      const wanted: Access = isOfRun ? access : { ...access, action: 'read' }
      if (await may(wanted, signal)) return 'allowed'
      if (wanted.action === 'read') return 'hidden'
      return (await may({ ...wanted, action: 'read' }, signal)) ? 'forbidden' : 'hidden'
    },
  }
}

function unauthenticated(isUnnamed: boolean): AppError {
  return new AppError(
    'Unauthenticated',
    isUnnamed
      ? 'Say who you are: what that takes, the service decides that is asked here.'
      : 'These credentials are not valid here, or not any more.',
    { op: 'admit' },
  )
}
