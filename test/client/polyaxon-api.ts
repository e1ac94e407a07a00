// What stands in for Polyaxon's API: the few calls that clients make before they ask for artifacts. Everything else goes on to the service under test.
import { request, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream'
import { Listening } from '../support/listening.ts'

export interface SeenRequest {
  readonly method: string
  /** As it came, with its query. */
  readonly target: string
  readonly headers: IncomingMessage['headers']
}

/** What the API knows about a run of the 2.x generation. */
export interface KnownRun {
  /** The name of its connection, which clients then ask for. */
  readonly artifactsStore?: string
  readonly lineage?: readonly Lineage[]
  /** By default it has succeeded. */
  readonly status?: 'running'
}

/** What a run has said that it made. */
export interface Lineage {
  readonly name: string
  readonly kind: string
  readonly path: string
  readonly summary?: Readonly<Record<string, unknown>>
}

/** Whose runs all are. */
export const OWNER = 'ann'
export const PROJECT = 'mnist'
export const NAMESPACE = 'cluster'

export class PolyaxonApi {
  /** What clients have sent, in order. */
  readonly seen: SeenRequest[] = []
  readonly #runs = new Map<string, KnownRun>()
  readonly #listening: Listening

  private constructor(listening: Listening) {
    this.#listening = listening
  }

  /** In front of the service on `port` of this machine. */
  static async before(port: number): Promise<PolyaxonApi> {
    const listening = await Listening.start((incoming, response) => {
      api.#answer(port, incoming, response)
    })
    const api = new PolyaxonApi(listening)
    return api
  }

  get url(): string {
    return this.#listening.origin
  }

  get port(): number {
    return this.#listening.port
  }

  /** Makes a run known. */
  add(uuid: string, run: KnownRun = {}): void {
    this.#runs.set(uuid, run)
  }

  /** What has been asked of the service since it was called last. */
  take(): SeenRequest[] {
    return this.seen.splice(0)
  }

  close(): Promise<void> {
    return this.#listening.close()
  }

  #answer(port: number, incoming: IncomingMessage, response: ServerResponse): void {
    const { method = '', url: target = '', headers } = incoming
    this.seen.push({ method, target, headers })
    const known = this.#known(target.split('?', 1)[0]!)
    if (known !== undefined) {
      incoming.resume()
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(known))
      return
    }
    const onward = request(
      { host: '127.0.0.1', port, path: target, method, headers, agent: false },
      answer => {
        response.writeHead(answer.statusCode!, answer.headers)
        pipeline(answer, response, () => undefined)
      },
    )
    pipeline(incoming, onward, () => undefined)
    onward.once('error', error => response.destroy(error))
  }

  /** The answer to what is no business of the service under test. */
  #known(path: string): unknown {
    if (path.startsWith('/api/v1/versions/cli')) return { latest_version: '0.6.1', min_version: '0.5.0' }
    const [, uuid, rest = ''] = RUN_PATH.exec(path) ?? []
    const run = this.#runs.get(uuid ?? '')
    if (run === undefined) return undefined
    const { artifactsStore, lineage = [], status = 'succeeded' } = run
    switch (rest) {
      case '':
        return {
          ...{ uuid, owner: OWNER, project: PROJECT, kind: 'job', status },
          settings: {
            namespace: NAMESPACE,
            ...(artifactsStore !== undefined && { artifacts_store: { name: artifactsStore } }),
          },
        }
      case '/statuses':
        return { uuid, status, status_conditions: [] }
      case '/lineage/artifacts':
        return { count: lineage.length, results: lineage }
      default:
        return undefined
    }
  }
}

const RUN_PATH = new RegExp(`^/api/v1/${OWNER}/${PROJECT}/runs/([0-9a-f]{32})(/[a-z/]+)?$`)
