// `npm run test:fleet`: three controllers, three NATS servers and sixty workers under load, while each kind of them dies in turn.
import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

const { projects: _, ...shared } = base.test ?? {}

export default defineConfig({
  test: {
    ...shared,
    include: ['test/fleet/**/*.test.ts'],
    globalSetup: ['test/runner/native-tools.ts'],
    maxWorkers: 1,
    testTimeout: 240_000,
  },
})
