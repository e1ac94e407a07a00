// What the archives of one process share: memory among all of them, and places for their work among those of one store.
import type { Capabilities } from '../store/store.ts'
import { Places } from './archive-places.ts'
import { SlabPool } from './rope-buffers.ts'
import { AheadBudget, DISK_PIECES, type AheadLimits } from './rope-lookahead.ts'

/**
 * Small objects asked for at a time, by one archive and by all archives of a store. An SDK takes about a millisecond of the processor for each request, so this many hide
 * 40 ms of latency; more would only wait.
 */
const NETWORK_PIECES = 48
/** Of the calls that a store takes at once, what is left for single files, listings and large members. */
const LEFT_FOR_OTHERS = 1 / 4
const REREADS_AT_ONCE = 4
const WALKS_AT_ONCE = 4
/** More than is ever in use at once, so that slabs are used again rather than left to the garbage collector. */
const FREE_SLAB_BYTES = 64 * 1024 * 1024
/** Read ahead by all archives together, beyond what each is about to send. */
const AHEAD_BYTES = 16 * 1024 * 1024

/** What the archives of one store share for reading beside what they are sending just now. */
export interface ReadResources {
  /** Small members, loaded ahead. */
  readonly loads: Places
  /** Large members that are read again for their checksum, which takes long. */
  readonly rereads: Places
  /** Memory for the small members. */
  readonly slabs: SlabPool
  /** For what is loaded before its turn. */
  readonly ahead: AheadLimits
}

export interface StoreResources extends ReadResources {
  /** Steps of the walks that find members. */
  readonly walks: Places
}

/** The resources of each store by its connection: a store that hangs keeps its own places, never those of another. */
export class ArchiveResources {
  readonly #slabs = new SlabPool(FREE_SLAB_BYTES)
  readonly #budget = new AheadBudget(AHEAD_BYTES)
  readonly #stores = new Map<string, StoreResources>()

  of(connection: string, capabilities: Capabilities): StoreResources {
    const known = this.#stores.get(connection)
    if (known !== undefined) return known
    const pieces = loadsAtOnce(capabilities)
    const resources = {
      loads: new Places(pieces),
      rereads: new Places(REREADS_AT_ONCE),
      walks: new Places(WALKS_AT_ONCE),
      slabs: this.#slabs,
      ahead: { pieces, budget: this.#budget },
    }
    this.#stores.set(connection, resources)
    return resources
  }
}

function loadsAtOnce({ latency, concurrency = Number.POSITIVE_INFINITY }: Capabilities): number {
  const wanted = latency === 'network' ? NETWORK_PIECES : DISK_PIECES
  return Math.max(1, Math.min(wanted, Math.floor(concurrency * (1 - LEFT_FOR_OTHERS))))
}
