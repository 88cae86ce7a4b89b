import { expect, test } from 'vitest'
import { createLineLog } from '../../src/platform/line-log.ts'
import { createLogger } from '../../src/platform/logger.ts'

const turn = (): Promise<void> => new Promise(setImmediate)

function setUp(level: string, layOut?: (item: string) => never) {
  const lines: string[] = []
  const log = createLogger({ level, service: 'test', destination: { write: (line) => void lines.push(line) } })
  const tell = createLineLog<string>(
    log,
    layOut ??
      ((item) => ({ level: 'info', members: `"event":"e","item":${JSON.stringify(item)}`, message: 'said "so"' })),
  )
  return { lines, log, tell }
}
const withoutTime = (line: string): string => line.replace(/"time":"[^"]+"/, '"time":""')

test('a line is that of the logger, byte for byte', async () => {
  const { lines, log, tell } = setUp('info')
  tell('info', 'ü "\n')
  await turn()
  log.info({ event: 'e', item: 'ü "\n' }, 'said "so"')
  expect(lines.map(withoutTime)).toEqual([withoutTime(lines[1]!), withoutTime(lines[1]!)])
})

test('lines are written in order, in a later turn', async () => {
  const { lines, tell } = setUp('info')
  tell('info', 'first')
  tell('info', 'second')
  expect(lines).toEqual([])
  await turn()
  expect(lines.map((line) => (JSON.parse(line) as { item: string }).item)).toEqual(['first', 'second'])
})

test('a level that is not enabled writes nothing', async () => {
  const { lines, tell } = setUp('warn')
  tell('info', 'first')
  await turn()
  expect(lines).toEqual([])
})

test('a line that cannot be laid out is reported, and the next ones are written', async () => {
  const { lines, tell } = setUp('info', () => {
    throw new Error('no')
  })
  tell('info', 'first')
  await turn()
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([{ level: 'error', event: 'log_line_failed' }])
})
