import { expect, test } from 'vitest'
import { CONTROLLER_SETTINGS } from '../../src/cli/commands/controller.ts'
import { WORKER_SETTINGS } from '../../src/cli/commands/worker.ts'
import { CliError, describeFailure } from '../../src/cli/exit.ts'
import { ControllerEnv } from '../../src/controller/config.ts'
import { ConfigError } from '../../src/platform/setting-fault.ts'
import { VERSION } from '../../src/platform/version.ts'
import { WorkerSettings } from '../../src/worker/config.ts'
import { crank } from './crank.ts'

const LEAVES = [
  ['controller'],
  ['worker'],
  ['invoke'],
  ['workers'],
  ['capabilities'],
  ['check'],
  ['cert', 'dev-ca'],
  ['cert', 'issue'],
  ['cert', 'inspect'],
  ['audit', 'tail'],
  ['audit', 'verify'],
  ['exception', 'list'],
  ['exception', 'grant'],
  ['exception', 'revoke'],
  ['manifest', 'generate'],
  ['manifest', 'verify'],
  ['manifest', 'diff'],
  ['manifest', 'add'],
  ['version'],
]

/** Writes the packages that were loaded to stderr when the process ends. */
const SPY = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  const packages = new Set()
  registerHooks({ load(url, context, next) {
    const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1]
    if (name !== undefined) packages.add(name)
    return next(url, context)
  } })
  process.on('exit', () => process.stderr.write(JSON.stringify([...packages].sort())))
`)}`

test('--help names every command, has examples, and lists the exit codes', async () => {
  const { code, stdout, stderr } = await crank(['--help'])
  expect(code).toBe(0)
  expect(stderr).toBe('')
  for (const [command] of LEAVES) expect(stdout).toMatch(new RegExp(`^  ${command!} `, 'm'))
  expect(stdout).toContain('Examples:')
  expect([...stdout.matchAll(/^ {2}(\d) {2}\w/gm)].map(([, exit]) => exit)).toEqual(['0', '1', '2', '3', '4', '5'])
})

test('--help loads no package but commander', async () => {
  const { stderr } = await crank(['--help'], { nodeArgs: ['--import', SPY] })
  expect(JSON.parse(stderr)).toEqual(['@commander-js/extra-typings', 'commander'])
})

test.each(LEAVES.map((command) => ({ command })))('$command --help has an example', async ({ command }) => {
  const { code, stdout } = await crank([...command, '--help'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/Examples?:\n {2}\S/)
})

test('--version is the version of the package', async () => {
  expect(await crank(['--version'])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' })
})

test.each([
  { what: 'no command', args: [], allowed: 'Commands:' },
  { what: 'an unknown command', args: ['aduit'], allowed: 'commands: controller, worker, invoke,' },
  { what: 'an unknown command of a group', args: ['cert', 'renew'], allowed: 'commands: dev-ca, issue, inspect' },
  { what: 'an unknown option', args: ['check', '--nope'], allowed: 'options: --admin-url, --state-dir, --output' },
  { what: 'a missing argument', args: ['invoke'], allowed: 'crank invoke [options] <verb> <capability>' },
  {
    what: 'half a capability',
    args: ['invoke', 'convert'],
    allowed: 'convert document_to_pdf, or convert:document_to_pdf',
  },
  { what: 'a surplus argument', args: ['check', 'now'], allowed: 'usage: crank check [options]' },
  { what: 'an unknown format', args: ['audit', 'verify', '-o', 'xml'], allowed: 'Allowed choices are table, json' },
  { what: 'an unknown priority', args: ['invoke', 'a', 'b', '--priority', 'x'], allowed: 'low, normal, high' },
  { what: 'a bad capability', args: ['invoke', 'Convert', 'b'], allowed: 'lower-case word' },
  { what: 'data that is not JSON', args: ['invoke', 'a', 'b', '-d', '{'], allowed: 'JSON, @file' },
  { what: 'a data file that is not there', args: ['invoke', 'a', 'b', '-d', '@/nowhere'], allowed: '@/nowhere' },
  { what: 'a bad timeout', args: ['invoke', 'a', 'b', '--timeout-ms', '1s'], allowed: 'from 1 to 300000' },
  { what: 'a bad label', args: ['invoke', 'a', 'b', '--require', 'zone'], allowed: 'a label such as zone=eu' },
  { what: 'a bad time', args: ['audit', 'tail', '--since', 'soon'], allowed: '90s, 10m, 2h or 7d' },
  { what: 'a bad number of lines', args: ['audit', 'tail', '-n', 'all'], allowed: 'must be a whole number' },
  {
    what: 'an unknown worker',
    args: ['worker', 'nobody'],
    allowed: 'must be one of document_conversion, email_classifier, hello_world',
  },
])('$what exits with 2 and says what is allowed', async ({ args, allowed }) => {
  const { code, stdout, stderr } = await crank(args)
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toContain(allowed)
})

test('every variable of the controller has an option, and no other', () => {
  const variables = CONTROLLER_SETTINGS.map(([variable]) => variable)
  expect(variables.toSorted()).toEqual(Object.keys(ControllerEnv.properties).toSorted())
})

test('every variable of a worker has an option, and no other', () => {
  const variables = WORKER_SETTINGS.map(([variable]) => variable)
  expect(variables.toSorted()).toEqual(Object.keys(WorkerSettings.properties).toSorted())
})

test('crank controller reports all faults of its configuration at once', async () => {
  const { code, stderr } = await crank(['controller', '--port', 'http'], {
    env: { OPA_TIMEOUT_MS: '0', HTTPS_ONLY: 'false' },
  })
  expect(code).toBe(2)
  for (const name of ['CRANK_PORT="http"', 'OPA_TIMEOUT_MS="0"', 'HTTPS_ONLY="false"', 'CRANK_TLS_CERT is not set']) {
    expect(stderr).toContain(name)
  }
})

test('an option wins over its variable', async () => {
  const { stderr } = await crank(['controller', '--opa-url', 'ftp://flag'], { env: { OPA_URL: 'ftp://variable' } })
  expect(stderr).toContain('OPA_URL="ftp://flag"')
})

test.each([['controller'], ['worker', 'streaming'], ['invoke', 'a', 'b']])(
  '%s refuses to run where something weakens TLS',
  async (...args) => {
    const { code, stderr } = await crank(args, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' } })
    expect(code).toBe(2)
    expect(stderr).toContain('NODE_TLS_REJECT_UNAUTHORIZED=0')
  },
)

test('each way of failing has its exit code, and a fault of the program shows its stack', () => {
  expect(describeFailure(new CliError(1, 'no', { hint: 'try' }))).toEqual({ exit: 1, text: 'no\n  try' })
  expect(describeFailure(new ConfigError(['A is bad'])).exit).toBe(2)
  expect(describeFailure(new CliError(3, 'away')).exit).toBe(3)
  const bug = describeFailure(new TypeError('x is not a function'))
  expect(bug.exit).toBe(5)
  expect(bug.text).toMatch(/internal error: TypeError: x is not a function\n\s+at /)
})
