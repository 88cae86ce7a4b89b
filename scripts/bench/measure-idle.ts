// What a controller costs that nobody calls: the CPU time of all its threads.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuTimes } from './cpu.ts'
import { mintIdentities, POLICY_DIR, startController } from './parties.ts'
import { setStage } from './stage.ts'
import { median } from './statistics.ts'
import { fixed, table } from './table.ts'

export type IdleAmounts = { readonly settleMs: number; readonly lookMs: number }
/** Per cent of one core, in each round. */
export type IdleRow = { readonly name: string; readonly rounds: readonly number[] }

type Options = {
  readonly rounds: number
  readonly amounts: IdleAmounts
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}

export async function measureIdle({ rounds, amounts, say, stop }: Options): Promise<IdleRow[]> {
  say('starting a controller that nobody calls …')
  await using lab = await setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const env = { ...identities.controller, CRANK_POLICY_DIR: POLICY_DIR, CRANK_STATE_DIR: join(dir, 'idle') }
    return { controller: await startController(processes, { name: 'idle', env }) }
  })
  const pids = { controller: lab.controller.pid }
  // Compilers and collectors still work for a while after a start.
  await lab.unlessBroken(delay(amounts.settleMs, undefined, { signal: stop }))
  const found: number[] = []
  for (let round = 1; round <= rounds; round++) {
    const before = cpuTimes(pids).get('controller') ?? Number.NaN
    const startMs = performance.now()
    await lab.unlessBroken(delay(amounts.lookMs, undefined, { signal: stop }))
    const usedMs = ((cpuTimes(pids).get('controller') ?? Number.NaN) - before) / 1000
    found.push((100 * usedMs) / (performance.now() - startMs))
    say(`idle, round ${round} is over`)
  }
  return [{ name: 'embedded engine', rounds: found }]
}

export function idleTable(rows: readonly IdleRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ name, rounds }) => [
    name,
    fixed(median(rounds), 2),
    rounds.map((round) => fixed(round, 2)).join(' '),
  ])
  return ['A controller that nobody calls', ...table(['', '% of a core', 'every round'], cells), '']
}
