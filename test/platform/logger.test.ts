import { spawnSync } from 'node:child_process'
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
