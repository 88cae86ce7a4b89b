// The test runner's own parts: unit tests start no process, and the list of slow tests.
import { execFile, fork, spawn, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../src/platform/run-program.ts'
import { slowestText } from './slowest-tests.ts'

describe('a unit test', () => {
  const ways: readonly [name: string, start: () => unknown][] = [
    ['spawn', () => spawn(process.execPath)],
    ['spawnSync', () => spawnSync(process.execPath)],
    ['execFile', () => execFile(process.execPath)],
    ['fork', () => fork('x.js')],
  ]
  for (const [name, start] of ways) {
    test(`cannot start a process by ${name}, and gets a message that says where it belongs`, () => {
      expect(start).toThrow(/runner\.test\.ts starts a process .*: add it to MESH in vitest\.config\.ts$/)
    })
  }

  test('cannot do it by way of the code under test either', async () => {
    await expect((async () => run('opa', ['version']))()).rejects.toThrow('starts a process (opa)')
  })

  test('cannot use or build a native tool', async () => {
    const env = { HOME: '/nowhere', PATH: process.env['PATH'], OPA_BIN: process.execPath }
    await expect(findTool('opa', { env })).rejects.toThrow(/OPA_BIN=.* is version unknown/)
  })
})

describe('the list of the slowest tests', () => {
  test('has ten, the slowest first', () => {
    const tests = Array.from({ length: 12 }, (_, n) => ({ ms: 1000 * (n + 1), file: 'test/a.test.ts', name: `n${n}` }))
    const lines = slowestText(tests).trimEnd().split('\n')
    expect(lines).toHaveLength(11)
    expect(lines.slice(0, 2)).toEqual(['The slowest tests:', '    12.0 s  test/a.test.ts > n11'])
  })

  test('is empty where every test was fast', () => {
    expect(slowestText([{ ms: 499, file: 'test/a.test.ts', name: 'n' }])).toBe('')
  })
})
