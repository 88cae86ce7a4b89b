import { afterEach, expect, test, vi } from 'vitest'
import { childEnvironment } from '../../src/platform/env.ts'
import { run } from '../../src/platform/run-program.ts'

afterEach(() => vi.unstubAllEnvs())

test('a program that we start finds what it needs, and none of our secrets', async () => {
  vi.stubEnv('GITHUB_TOKEN', 'a token')
  vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'authorization=a password')
  vi.stubEnv('NODE_OPTIONS', '--enable-source-maps')
  vi.stubEnv('LC_ALL', 'C.UTF-8')
  const { stdout } = await run('env', [])
  const names = stdout.split('\n').map((line) => line.split('=')[0])
  expect(names).toEqual(expect.arrayContaining(['PATH', 'LC_ALL']))
  expect(stdout).not.toMatch(/a token|a password|NODE_OPTIONS/)
})

test('it gets further variables only by name', () => {
  const env = { PATH: '/bin', HOME: '/root', OPA_BIN: '/opa', AWS_SECRET_ACCESS_KEY: 'x', LD_PRELOAD: '/x.so' }
  expect(childEnvironment(env)).toEqual({ PATH: '/bin', HOME: '/root' })
  expect(childEnvironment(env, (name) => name === 'OPA_BIN')).toEqual({ PATH: '/bin', HOME: '/root', OPA_BIN: '/opa' })
})
