import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// `npm test` runs every project below; a test that needs a program that is not installed is skipped by name.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // By default one core is left for watching, which on two cores doubles the time. Many tests only wait, so one more than there are cores keeps them busy.
    maxWorkers: availableParallelism() + 1,
  },
})
