import { spawn, spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { createLogger, type Logger } from '../../src/platform/logger.ts'

function linesOf(run: (log: Logger) => void, level = 'info', pretty = false): string[] {
  const lines: string[] = []
  run(
    createLogger({
      level,
      service: 'crank-controller',
      pretty,
      destination: { write: (line) => void lines.push(line) },
    }),
  )
  return lines
}

const parsed = (line: string | undefined): unknown => JSON.parse(line ?? '')

describe('a log line', () => {
  test('is JSON with the level as a word, the time in ISO form, the service, the event and the message', () => {
    const [line] = linesOf((log) => log.warn({ event: 'opa_unreachable' }, 'policy engine did not answer'))
    expect(parsed(line)).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      service: 'crank-controller',
      event: 'opa_unreachable',
      msg: 'policy engine did not answer',
    })
  })

  test('below the level is not written', () => {
    expect(linesOf((log) => log.info('a'), 'warn')).toEqual([])
    expect(linesOf((log) => log.fatal('a'), 'silent')).toEqual([])
  })

  test('carries no secret that slipped into a field, at any depth that is looked at', () => {
    const headers = { authorization: 'Bearer abc', accept: 'x' }
    const fields = { key: 'PEM', request: { headers }, tls: { keyPem: 'PEM', certPem: 'c' } }
    const [line] = linesOf((log) => log.info(fields, 'a'))
    expect(parsed(line)).toMatchObject({
      key: '[redacted]',
      request: { headers: { authorization: '[redacted]', accept: 'x' } },
      tls: { keyPem: '[redacted]', certPem: 'c' },
    })
    expect(fields.request.headers).toEqual({ authorization: 'Bearer abc', accept: 'x' })
  })

  test('of an error has its type, message and stack', () => {
    const [line] = linesOf((log) =>
      log.error({ event: 'x', err: new TypeError('broken', { cause: new Error('why') }) }, 'a'),
    )
    expect(parsed(line)).toMatchObject({ err: { type: 'TypeError', message: expect.stringContaining('broken') } })
  })

  test('for a person is one readable line', () => {
    const [line] = linesOf((log) => log.info({ event: 'ready' }, 'controller is ready'), 'info', true)
    expect(line).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: controller is ready\n\s+event: "ready"/)
  })
})

describe('a call of a logger never throws', () => {
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  const throwing = (): never => {
    throw new Error('not readable')
  }
  const odd: Record<string, object> = {
    'a circle': { circular },
    'a BigInt': { size: 10n, nested: { size: 10n } },
    'a symbol and a function': { symbol: Symbol('s'), run: () => 1 },
    'a nested getter that throws': { nested: Object.defineProperty({}, 'x', { enumerable: true, get: throwing }) },
    'a getter that throws': Object.defineProperty({ event: 'odd' }, 'x', { enumerable: true, get: throwing }),
    'a toJSON that throws': { nested: { toJSON: throwing } },
    'a proxy that throws': { nested: new Proxy({}, { get: throwing, ownKeys: throwing, getPrototypeOf: throwing }) },
    'a revoked proxy': revoked(),
    'an error whose message throws': { err: Object.defineProperty(new Error('x'), 'message', { get: throwing }) },
    'an error whose cause is itself': { err: ownCause() },
  }
  for (const [name, fields] of Object.entries(odd)) {
    for (const pretty of [false, true]) {
      test(`with ${name}${pretty ? ', for a person' : ''}, and says that something happened`, () => {
        const lines = linesOf((log) => log.warn(fields, 'it happened'), 'info', pretty)
        expect(lines).toHaveLength(1)
        expect(lines[0]).toContain('it happened')
      })
    }
  }

  test('and keeps the event of what it cannot write, with the reason', () => {
    const [line] = linesOf((log) => log.warn(odd['a getter that throws'], 'it happened'))
    expect(parsed(line)).toMatchObject({ event: 'odd', unloggable: 'not readable', msg: 'it happened', level: 'warn' })
  })

  test('when the place for lines throws', () => {
    const log = createLogger({ level: 'info', service: 's', destination: { write: throwing } })
    expect(() => log.fatal({ event: 'x' }, 'it happened')).not.toThrow()
  })
})

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function ownCause(): Error {
  const error: Error = new Error('x')
  error.cause = error
  return error
}

for (const end of ['process.exit(0)', "setImmediate(() => { throw new Error('crash') })"]) {
  test(`a process that ends with ${end} has written every line, for a slow reader too`, async () => {
    const script = `
      import { createLogger } from './src/platform/logger.ts'
      const log = createLogger({ level: 'info', service: 's' })
      for (let n = 0; n < 1000; n += 1) log.info({ n, filler: 'x'.repeat(500) }, 'line')
      ${end}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const lines = (await text(child.stdout)).trim().split('\n')
    expect(lines).toHaveLength(1000)
    expect(parsed(lines.at(-1))).toMatchObject({ n: 999 })
  })
}

test('a process whose stdout is a pipe writes JSON, every line before it ends, and does not load pino-pretty', () => {
  const script = `
    import { createLogger } from './src/platform/logger.ts'
    import { createRequire } from 'node:module'
    const log = createLogger({ level: 'info', service: 's' })
    for (let n = 0; n < 500; n += 1) log.info({ n }, 'line')
    const loaded = Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes('pino-pretty'))
    log.info({ loaded }, 'end')
    process.exit(0)`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  const lines = child.stdout.trim().split('\n')
  expect(lines).toHaveLength(501)
  expect(parsed(lines.at(-1))).toMatchObject({ loaded: false })
})
