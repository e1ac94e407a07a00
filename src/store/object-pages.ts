// The pages of a server's list as one sequence of items in the server's order, whatever the pages look like.
import type { ObjectBucket } from './object-bucket.ts'
import { ObjectFailure, type ListedObject, type ListRequest, type ObjectPage } from './object-client.ts'
import { following, type FollowingSignal } from './object-signal.ts'

/** An object, or a prefix that stands for all keys which begin with it. */
export interface ListedItem {
  readonly key: string
  /** Undefined for a prefix. */
  readonly object: ListedObject | undefined
}

export type KeyOrder = (a: string, b: string) => number

/** The most that a server gives at once; a page costs some 30 ms however few keys are on it. */
export const PAGE_KEYS = 1000

export interface PagesOptions {
  /** For the first page. */
  readonly request: ListRequest
  /** Of the server. */
  readonly order: KeyOrder
  /** Whether another page is likely to be needed after one with so many items: it is asked for while this one is used. */
  readonly needsMoreThan: (items: number) => boolean
  readonly signal: AbortSignal
}

/**
 * The items of a list, page by page; `end` must be called. Fails with `interrupted` where the server's order goes backwards: something would be lost or given twice.
 */
export class Pages {
  readonly #bucket: ObjectBucket
  readonly #options: PagesOptions
  readonly #ending: FollowingSignal
  /** The request for the next page; undefined after the last one. */
  #next: ListRequest | undefined
  #ahead: Promise<ObjectPage> | undefined
  #lastKey = ''

  constructor(bucket: ObjectBucket, options: PagesOptions) {
    this.#bucket = bucket
    this.#options = options
    this.#ending = following(options.signal)
    this.#next = options.request
  }

  /** What `next` will ask for; a list can begin there again. */
  get request(): ListRequest | undefined {
    return this.#next
  }

  /** The items of the next page, perhaps none; undefined after the last page. */
  async next(): Promise<readonly ListedItem[] | undefined> {
    const request = this.#next
    if (request === undefined) return undefined
    const page = await (this.#ahead ?? this.#bucket.list(request, this.#ending.signal))
    this.#ahead = undefined
    this.#next = page.token === undefined ? undefined : nextRequest(request, page.token)
    const items = this.#inOrder(page)
    if (this.#next !== undefined && this.#options.needsMoreThan(items.length)) {
      this.#ahead = this.#bucket.list(this.#next, this.#ending.signal)
      // It may fail before anybody waits for it, or be given up.
      this.#ahead.catch(() => undefined)
    }
    return items
  }

  /** Gives up the page that is under way. */
  end(): void {
    this.#ending.abort()
    this.#ending.detach()
  }

  /** Objects and prefixes come apart, each in order. */
  #inOrder({ objects, prefixes }: ObjectPage): ListedItem[] {
    const { order, request } = this.#options
    const items: ListedItem[] = []
    let i = 0
    let j = 0
    while (i < objects.length || j < prefixes.length) {
      const object = objects[i]
      const prefix = prefixes[j]
      const isObject = prefix === undefined || (object !== undefined && order(object.key, prefix) < 0)
      const item = isObject ? { key: object!.key, object } : { key: prefix, object: undefined }
      if (isObject) i += 1
      else j += 1
      if (!item.key.startsWith(request.prefix) || order(item.key, this.#lastKey) < 0)
        throw new ObjectFailure('interrupted', {
          advice: 'It lists its objects in an order that cannot be relied on.',
          cause: new Error(`The server listed ${item.key} after ${this.#lastKey}.`),
        })
      // A prefix comes again while pages end within it, and some servers begin a page with the last key of the page before.
      if (item.key === this.#lastKey) continue
      this.#lastKey = item.key
      items.push(item)
    }
    return items
  }
}

function nextRequest({ prefix, delimiter }: ListRequest, token: string): ListRequest {
  return { prefix, delimiter, token, maxKeys: PAGE_KEYS }
}
