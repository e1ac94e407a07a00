// The store contract as cases. Which of them apply is asked of the store's capabilities, never of its name.
import { describe } from 'vitest'
import type { MakeHarness } from './harness.ts'
import { listCases } from './list-cases.ts'
import { linkCases } from './link-cases.ts'
import { readCases } from './read-cases.ts'
import { removeCases } from './remove-cases.ts'
import { statCases } from './stat-cases.ts'
import { writeCases } from './write-cases.ts'
import type { Capabilities } from '../../src/store/store.ts'

/** Holds the stores that `make` gives to the whole contract. */
export function describeStore(name: string, capabilities: Capabilities, make: MakeHarness): void {
  describe(name, () => {
    statCases(capabilities, make)
    listCases(capabilities, make)
    readCases(capabilities, make)
    writeCases(capabilities, make)
    removeCases(capabilities, make)
    if (capabilities.links) linkCases(make)
  })
}
