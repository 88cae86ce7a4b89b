// The trace rows of the bench with a real Jaeger. Nothing here looks at a time, only at what came of every call.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import type { Report } from '../../scripts/bench/report.ts'
import { tables } from '../../scripts/bench/report.ts'

const ROOT = join(import.meta.dirname, '../..')

test('a quick run finds each trace it looks for, and every span of the load', async () => {
  const args = ['scripts/bench.ts', '--quick', '--json', '--only', 'traces']
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  expect({ code: child.exitCode, stderr }).toMatchObject({ code: 0 })
  const report = JSON.parse(stdout) as Report
  expect(report.traces.rows.map(({ name }) => name)).toEqual(['untraced', 'sdk-delay', 'shipped'])
  const [untraced, ...exported] = report.traces.rows.map(({ rounds: [round] }) => [round!.steady, round!.full])
  for (const load of untraced!) {
    expect(load).toMatchObject({ failed: 0 })
    expect(load).not.toHaveProperty('spans')
  }
  for (const load of exported.flat()) {
    expect(load).toMatchObject({ failed: 0, found: { missing: 0 }, spans: { lost: 0 } })
    expect(load.found!.probes).toBeGreaterThan(0)
    expect(Object.keys(load.cpuUs)).toEqual(['controller', 'worker', 'generator', 'jaeger'])
  }
  expect(tables(report)).toContain('Traces, closed loop at saturation')
})
