// The bench of the audit log works. Nothing here looks at a time: what is fast is for people to read.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const SCRIPT = join(import.meta.dirname, '../../scripts/bench-audit.ts')
const ARGS = ['--records', '6000', '--segment-bytes', '400000', '--rounds', '1']

test('indexes a log of its own, and finds what is there and nothing else', async () => {
  // Its exit code says whether a limit was missed, which a busy machine may do.
  const out = await new Promise<string>((resolve) => {
    execFile(process.execPath, [SCRIPT, ...ARGS], (_, stdout) => resolve(stdout))
  })
  const found = new Map(
    [...out.matchAll(/^(?:missed)? +(\S.*?) {2,}median .*?, (\d+) found/gm)].map(([, what = '', count]) => [
      what,
      Number(count),
    ]),
  )
  expect(out).toMatch(/^2 slots, \d+ segments/)
  expect(out).toMatch(/indexing of 6,\d{3} records .*\/s of CPU/)
  expect(found.get('by decision id')).toBe(2)
  expect(found.get('by trace id')).toBe(2)
  expect(found.get('by a trace id that is not there')).toBe(0)
  for (const order of ['newest', 'oldest']) {
    expect(found.get(`page, ${order} first: all`)).toBe(50)
    expect(found.get(`page, ${order} first: denied`)).toBe(50)
    expect(found.get(`page, ${order} first: would_deny and timeout: never`)).toBe(0)
    expect(found.get(`page, ${order} first: a text that is not there`)).toBe(0)
  }
  expect(out.match(/what the log adds/g)).toHaveLength(2)
})
