// Some of the workers of the fleet, in a process of their own: `node swarm-main.ts`, with the task as the first message. Answers
// each message with what it has counted so far.
import type { Issued } from '../fixtures/pki/ca.ts'
import { startSwarm, type Swarm } from '../fixtures/swarm.ts'
import type { CredentialFiles } from '../../src/platform/tls/credentials.ts'

export type SwarmTask = {
  readonly controllers: readonly string[]
  readonly first: number
  readonly count: number
  readonly issued: Issued
  readonly files: CredentialFiles
  readonly caPem: string
}

/** What the workers of one process have seen. */
export type SwarmTally = { readonly calls: number; readonly misrouted: number; readonly keys: [string, number][] }

let swarm: Swarm | undefined

process.on('message', (task: SwarmTask | 'tally') => {
  void answer(task)
})
process.on('disconnect', () => process.exit())

async function answer(task: SwarmTask | 'tally'): Promise<void> {
  if (task !== 'tally') {
    const { issued, files, caPem, controllers, count, first } = task
    const parties = {
      identity: () => Promise.resolve(issued),
      filesOf: () => Promise.resolve(files),
      ca: { certPem: caPem },
    }
    swarm = await startSwarm(parties, controllers, count, first)
  }
  const { calls, misrouted, keys } = swarm ?? { calls: new Map<string, number>(), misrouted: () => 0, keys: new Map() }
  const tally: SwarmTally = {
    calls: [...calls.values()].reduce((sum, one) => sum + one, 0),
    misrouted: misrouted(),
    keys: [...keys],
  }
  process.send?.(tally)
}
