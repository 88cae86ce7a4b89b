// The main file of a worker outside of this repository: what it says when it cannot start, and with which code it ends.
import { expect, test } from 'vitest'
import { run } from '../../scripts/tools/run.ts'

const main = (define: string) => `
  import { runWorkerProcess } from './src/worker/index.ts'
  import { createHelloWorld } from './src/workers/hello_world.ts'
  await runWorkerProcess(${define}, process.env)`

const start = (define: string, env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, ['--input-type=module-typescript', '-e', main(define)], {
    env: { PATH: process.env['PATH'], LOG_LEVEL: 'silent', ...env },
  })

test('all faults of the configuration are reported at once, with exit code 2 and without a stack', async () => {
  const { code, stderr } = await start('createHelloWorld()', { CONTROLLER_URL: 'nowhere' })
  expect(code).toBe(2)
  expect(stderr).toMatch(/^× the worker cannot start: configuration is not usable:\n/)
  expect(stderr).toContain('CRANK_TLS_CERT is not set')
  expect(stderr).toContain('CONTROLLER_URL="nowhere": must be an https URL')
  expect(stderr).not.toContain(' at ')
})

test('a certificate that is missing is named', async () => {
  const files = { CRANK_TLS_CERT: '/no/a.crt', CRANK_TLS_KEY: '/no/a.key', CRANK_TLS_BUNDLE: '/no/a.pem' }
  const { code, stderr } = await start('createHelloWorld()', files)
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('/no/') })
  expect(stderr).not.toContain(' at ')
})

test('a fault of the program has its stack, and exit code 5', async () => {
  const files = { CRANK_TLS_CERT: '/no/a.crt', CRANK_TLS_KEY: '/no/a.key', CRANK_TLS_BUNDLE: '/no/a.pem' }
  const { code, stderr } = await start(`() => undefined.nothing`, files)
  expect(code).toBe(5)
  expect(stderr).toMatch(/^× the worker cannot start: internal error: TypeError: /)
  expect(stderr).toContain(' at ')
})
