// `npm run test:stack`: the tests that start real Jaeger and Prometheus. One file at a time: each server wants a core.
import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

const { projects: _, ...shared } = base.test ?? {}

export default defineConfig({
  test: {
    ...shared,
    include: ['test/stack/**/*.test.ts'],
    globalSetup: ['test/runner/native-tools.ts'],
    maxWorkers: 1,
    testTimeout: 240_000,
  },
})
