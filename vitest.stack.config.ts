// `npm run test:stack`: the tests that start real Jaeger and Prometheus. One file at a time: each server wants a core.
import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

export default defineConfig({
  test: { ...base.test, include: ['test/stack/**/*.test.ts'], exclude: [], maxWorkers: 1, testTimeout: 240_000 },
})
