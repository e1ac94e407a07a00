// A bad network in front of a server: Toxiproxy, through its control API (https://github.com/Shopify/toxiproxy#http-api).
import { randomUUID } from 'node:crypto'
import { serverSettings } from './servers.ts'

const settings = serverSettings('toxiproxy')

export const hasToxiproxy = settings !== undefined

/** What happens to the bytes on their way, most often those from the server (downstream). */
export interface Toxic {
  readonly type: 'latency' | 'bandwidth' | 'timeout' | 'reset_peer' | 'limit_data' | 'slicer'
  readonly stream?: 'upstream' | 'downstream'
  /** By the type: `latency` and `timeout` in milliseconds, `rate` in KB a second, `bytes` of each connection. */
  readonly attributes: Readonly<Record<string, number>>
}

export class BadNetwork {
  /** `http://HOST:PORT` in place of the server's own. */
  readonly endpoint: string
  readonly #name: string

  private constructor(name: string, listen: string) {
    this.#name = name
    this.endpoint = `http://${listen}`
  }

  /** In front of the server at `endpoint`, on a port of its own. */
  static async before(endpoint: string): Promise<BadNetwork> {
    const name = `outputs-${randomUUID()}`
    const { listen } = (await control('POST', '/proxies', {
      name,
      listen: '127.0.0.1:0',
      upstream: new URL(endpoint).host,
      enabled: true,
    })) as { listen: string }
    return new BadNetwork(name, listen)
  }

  /** Of the connections that are open, too. Gives back what takes it away. */
  async add({ type, stream = 'downstream', attributes }: Toxic): Promise<() => Promise<void>> {
    const toxic = randomUUID()
    await control('POST', `/proxies/${this.#name}/toxics`, {
      name: toxic,
      type,
      stream,
      toxicity: 1,
      attributes,
    })
    return async () => {
      await control('DELETE', `/proxies/${this.#name}/toxics/${toxic}`)
    }
  }

  /** Nobody listens any more, and connections that are open break. */
  async goAway(): Promise<void> {
    await control('POST', `/proxies/${this.#name}`, { enabled: false })
  }

  async comeBack(): Promise<void> {
    await control('POST', `/proxies/${this.#name}`, { enabled: true })
  }

  async remove(): Promise<void> {
    await control('DELETE', `/proxies/${this.#name}`)
  }
}

async function control(method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(settings!['endpoint']! + path, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`Toxiproxy, ${method} ${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}
