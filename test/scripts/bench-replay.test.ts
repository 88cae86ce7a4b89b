// The bench of replay works. Nothing here looks at a time: what is fast is for people to read.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const SCRIPT = join(import.meta.dirname, '../../scripts/bench-replay.ts')

test('replays a log of its own with and without memo, and says what it should reach', async () => {
  // Its exit code says whether a limit was missed, which a log as small as this does.
  const out = await new Promise<string>((resolve) => {
    execFile(process.execPath, [SCRIPT, '--decisions', '2000', '--rounds', '1'], (_, stdout) => resolve(stdout))
  })
  expect(out).toMatch(/^2000 decisions, \d+ MB, \d+ processors, load /)
  expect(out).toMatch(/without memo [\d,]+\/s, .*, 2000 evaluated, 0 changed; with memo [\d,]+\/s, .*, 0 changed;/)
  expect(out).toMatch(/without memo, per second \/ \(\d+ processors \/ [\d.]+ us = [\d,]+\) +[\d.]+, limit >= 0\.70/)
  expect(out).toMatch(/with memo, decisions per second +[\d,.]+, limit >= 50,000/)
})
