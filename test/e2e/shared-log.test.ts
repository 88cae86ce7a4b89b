// Two processes that log to one slow pipe. Real processes: only the kernel mixes their writes.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const WRITER = new URL('../fixtures/shared-log-writer.ts', import.meta.url).pathname

test('lines of two processes that share a slow pipe are whole', async () => {
  // Small reads: the pipe is full nearly all the time.
  const command = '"$0" "$1" | dd bs=300 status=none'
  const { stdout } = await promisify(execFile)('sh', ['-c', command, process.execPath, WRITER], { maxBuffer: 2 ** 26 })
  const lines = stdout.split('\n').slice(0, -1)
  const parsed = lines.map((line) => JSON.parse(line) as { process: number })
  expect(new Set(parsed.map(({ process: slot }) => slot))).toEqual(new Set([0, 1]))
  expect(parsed.length).toBeGreaterThan(1000)
})
