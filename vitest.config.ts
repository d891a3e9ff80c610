import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most files wait most of the time, for servers and timers; one less than there are cores would leave them idle.
    maxWorkers: availableParallelism() + 2,
    // On a shared machine real servers are late now and then; what needed a second try is marked in the output.
    retry: process.env['CI'] === undefined ? 0 : 1,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
})
