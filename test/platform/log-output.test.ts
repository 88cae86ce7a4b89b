import { spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { tempDir } from '../fixtures/pki/credential-files.ts'

const LINES = 2000

/** Writes one line in each turn of the event loop, which takes a tenth of a millisecond, then says how many writes of the system that took. */
const SCRIPT = `
import { readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { LogOutput } from ${JSON.stringify(join(import.meta.dirname, '../../src/platform/log-output.ts'))}
const writes = () => Number(/syscw: (\\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))[1])
const output = new LogOutput({ onRoom: () => undefined })
output.write('first\\n')
await output.flush()
const before = writes()
for (let n = 0; n < ${LINES}; n++) {
  output.write('line ' + n + '\\n')
  const end = performance.now() + 0.1
  while (performance.now() < end);
  await nextTurn()
}
await output.close()
process.stderr.write(String(writes() - before))
`

test.runIf(process.platform === 'linux')('lines of many turns share a write, and all of them arrive', async () => {
  await using dir = await tempDir()
  const file = join(dir.path, 'log')
  await using log = await open(file, 'w')
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], { stdio: ['ignore', log.fd, 'pipe'] })
  const said = await text(child.stderr!)
  const expected = ['first', ...Array.from({ length: LINES }, (_, n) => `line ${n}`), '']
  expect(await readFile(file, 'utf8')).toBe(expected.join('\n'))
  expect(Number(said)).toBeGreaterThan(0)
  expect(Number(said)).toBeLessThan(LINES / 8)
})

/** Writes 900 kB of lines at once and ends: the end waits for half a second at most. */
const BACKLOG = `
import { LogOutput } from ${JSON.stringify(join(import.meta.dirname, '../../src/platform/log-output.ts'))}
const output = new LogOutput({ onRoom: () => undefined, isShared: true })
for (let n = 0; n < 9000; n++) output.write('line ' + String(n).padStart(94) + '\\n')
await output.close()
`

test('a backlog leaves at once, also in the small writes of a shared log', async () => {
  await using dir = await tempDir()
  const file = join(dir.path, 'log')
  await using log = await open(file, 'w')
  const child = spawn(process.execPath, ['--input-type=module', '-e', BACKLOG], { stdio: ['ignore', log.fd, 'pipe'] })
  expect(await text(child.stderr!)).toBe('')
  expect((await readFile(file, 'utf8')).match(/\n/g)).toHaveLength(9000)
})
