import inspector from 'node:inspector'
import Type from 'typebox'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkConfig, loadConfig, refuseWeakening } from '../../src/platform/env.ts'
import { ConfigError } from '../../src/platform/setting-fault.ts'

const Schema = Type.Object({
  PORT: Type.Integer({ minimum: 0, maximum: 65535, default: 9000, description: 'port' }),
  MODE: Type.Enum(['fsync', 'write'], { default: 'fsync', description: 'mode' }),
  STRICT: Type.Boolean({ default: false, description: 'strict' }),
  RATIO: Type.Optional(Type.Number({ description: 'ratio', allowed: 'a number' })),
  FILE: Type.String({ minLength: 1, description: 'file', allowed: 'the path of a file' }),
  PIN: Type.Optional(Type.String({ pattern: '^[0-9]{4}$', description: 'pin', secret: true, allowed: 'four digits' })),
})

function faultsOf(run: () => unknown): readonly string[] {
  try {
    run()
  } catch (error: unknown) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).faults
  }
  throw new Error('nothing was refused')
}

describe('loadConfig', () => {
  test('a flag wins over the environment, and the environment over the default', () => {
    const env = { FILE: 'env', PORT: '1', MODE: 'write' }
    expect(loadConfig(Schema, { env, flags: { PORT: '2', STRICT: undefined } })).toEqual({
      FILE: 'env',
      PORT: 2,
      MODE: 'write',
      STRICT: false,
    })
  })

  test('an empty text counts as unset, in flags and environment', () => {
    const config = loadConfig(Schema, { env: { FILE: 'f', PORT: '', MODE: 'write' }, flags: { MODE: '' } })
    expect(config).toMatchObject({ PORT: 9000, MODE: 'write' })
    expect(faultsOf(() => loadConfig(Schema, { env: { FILE: '' } }))).toEqual([
      'FILE is not set: must be the path of a file',
    ])
  })

  test('variables that the schema does not name are ignored, and the result is frozen', () => {
    const config = loadConfig(Schema, { env: { FILE: 'f', HOME: '/root' } })
    expect(config).not.toHaveProperty('HOME')
    expect(Object.isFrozen(config)).toBe(true)
  })

  test('all faults come at once, each with name, value and what is allowed', () => {
    const env = { PORT: 'abc', MODE: 'sync', STRICT: 'yes', RATIO: 'x' }
    expect(faultsOf(() => loadConfig(Schema, { env })).toSorted()).toEqual([
      'FILE is not set: must be the path of a file',
      'MODE="sync": must be one of fsync, write',
      'PORT="abc": must be an integer from 0 to 65535',
      'RATIO="x": must be a number',
      'STRICT="yes": must be true or false',
    ])
  })

  test.each(['-1', '65536', '1.5', '9000x', ' ', '0x10', '1e3', 'null', 'true'])('refuses the port %j', (port) => {
    expect(faultsOf(() => loadConfig(Schema, { env: { FILE: 'f', PORT: port } }))).toEqual([
      `PORT=${JSON.stringify(port)}: must be an integer from 0 to 65535`,
    ])
  })

  test('a secret value never stands in a message', () => {
    expect(faultsOf(() => loadConfig(Schema, { env: { FILE: 'f', PIN: 'hunter2' } }))).toEqual([
      'PIN: must be four digits',
    ])
  })

  test('a long value is cut after 80 characters', () => {
    const [fault] = faultsOf(() => loadConfig(Schema, { env: { FILE: 'f', MODE: 'x'.repeat(5000) } }))
    expect(fault).toBe(`MODE="${'x'.repeat(80)}…": must be one of fsync, write`)
  })

  test('the message of the error lists every fault on a line of its own', () => {
    expect(new ConfigError(['one', 'two']).message).toBe('configuration is not usable:\n  one\n  two')
  })

  test('a check gives the good values back beside the faults', () => {
    const { values, faults } = checkConfig(Schema, { env: { PORT: '1', MODE: 'x' } })
    expect(values).toEqual({ PORT: 1, STRICT: false })
    expect(faults).toHaveLength(2)
  })
})

describe('refuseWeakening', () => {
  const refused: [string, NodeJS.ProcessEnv, string[]][] = [
    ['NODE_TLS_REJECT_UNAUTHORIZED=0', { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, []],
    ['SSLKEYLOGFILE', { SSLKEYLOGFILE: '/tmp/keys' }, []],
    ['--security-revert', {}, ['--security-revert=CVE-2023-46809']],
    ['--tls-keylog', {}, ['--tls-keylog=/tmp/keys']],
    ['--insecure-http-parser', {}, ['--insecure-http-parser']],
    ['--tls-min-v1.0', {}, ['--tls-min-v1.0']],
    ['--tls-min-v1.1', {}, ['--enable-source-maps', '--tls-min-v1.1']],
    ['--tls-min-v1.0', {}, ['--tls_min_v1.0']],
    ['--inspect', {}, ['--inspect']],
    ['--inspect', {}, ['--inspect=0.0.0.0:9229']],
    ['--inspect-brk', {}, ['--inspect_brk']],
    ['--inspect-wait', {}, ['--inspect-wait']],
    ['--inspect-port', {}, ['--inspect-port=0']],
    ['--inspect-publish-uid', {}, ['--inspect-publish-uid=http']],
    ['--debug-port', {}, ['--debug-port=1']],
    ['--inspect in NODE_OPTIONS', { NODE_OPTIONS: '--inspect=127.0.0.1:0' }, []],
    ['--heapsnapshot-signal', {}, ['--heapsnapshot-signal=SIGUSR2']],
    ['--heapsnapshot-near-heap-limit', {}, ['--heapsnapshot-near-heap-limit=1']],
    ['--abort-on-uncaught-exception', {}, ['--abort-on-uncaught-exception']],
    ['--insecure-http-parser in NODE_OPTIONS', { NODE_OPTIONS: '--max-old-space-size=100 --insecure-http-parser' }, []],
    ['--tls-keylog in NODE_OPTIONS', { NODE_OPTIONS: '"--tls-keylog=/tmp/a"' }, []],
  ]
  test.each(refused)('refuses %s and names it', (name, env, execArgv) => {
    const [fault, ...more] = faultsOf(() => refuseWeakening(env, execArgv))
    expect(more).toEqual([])
    expect(fault?.startsWith(`${name}: would `)).toBe(true)
  })

  test('refuses an open debugger, however it was opened', () => {
    inspector.open(0, '127.0.0.1')
    onTestFinished(() => inspector.close())
    expect(faultsOf(() => refuseWeakening({}, []))).toEqual([
      expect.stringMatching(/^Node's debugger is open: would let/),
    ])
  })

  test('names all of them at once', () => {
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_OPTIONS: '--tls-min-v1.0' }
    expect(faultsOf(() => refuseWeakening(env, ['--insecure-http-parser']))).toHaveLength(3)
  })

  test('takes what does not weaken anything', () => {
    const env = {
      NODE_TLS_REJECT_UNAUTHORIZED: '1',
      SSLKEYLOGFILE: '',
      NODE_OPTIONS: '--tls-min-v1.3 --enable-source-maps',
    }
    expect(() => refuseWeakening(env, ['--tls-min-v1.2', '--test-reporter=--tls-keylog'])).not.toThrow()
  })
})
