import { availableParallelism } from 'node:os'
import { relative } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Of the files that take half a minute and more, the longest first. Where nothing is remembered of the last run, vitest begins with the files of the most code, so that such a
 * file may begin when the others are nearly done, and keep all cores but one idle.
 */
const LONGEST = [
  'test/nfs/contract.test.ts',
  'test/nfs/contract-remote.test.ts',
  'test/contract/s3.test.ts',
  'test/contract/azure.test.ts',
  'test/contract/local.test.ts',
  'test/archive/readers.test.ts',
  'test/memory/listing.test.ts',
  'test/memory/downloads.test.ts',
  'test/http/uploads.test.ts',
  'test/client/browser.test.ts',
  'test/faults/uploads.test.ts',
  'test/start/stop.test.ts',
  'test/http/forms.test.ts',
  'test/contract/object-store.test.ts',
  'test/faults/lifecycle.test.ts',
  'test/faults/aborts.test.ts',
  'test/memory/slow-readers.test.ts',
  'test/start/start.test.ts',
  'test/http/deletes.test.ts',
  'test/client/tus.test.ts',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.indexOf(relative(import.meta.dirname, moduleId))
      return index < 0 ? LONGEST.length : index
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

// `npm test` runs every project below; a test that needs a program that is not installed is skipped by name.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // By default one core is left for watching, which on two cores doubles the time. Many tests only wait, so one more than there are cores keeps them busy.
    maxWorkers: availableParallelism() + 1,
  },
})
