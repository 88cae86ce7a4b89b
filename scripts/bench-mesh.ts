// Measures what a mesh costs its controllers beside the calls: `node scripts/bench-mesh.ts [--workers n]`. Two processes each hold
// the registry of all workers over one real NATS server: one registers them and gets their heartbeats, the other only follows.
// Prints the time until both have all workers, memory, and the CPU time of a heartbeat on both sides.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect } from '@nats-io/transport-node'
import { makeCapability } from '../src/core/capability.ts'
import { parseSpiffeId } from '../src/core/spiffe-id.ts'
import { openMesh, type Mesh } from '../src/controller/mesh/mesh.ts'
import { createAwaited } from '../src/controller/routing/awaited.ts'
import { hashOfLease } from '../src/controller/routing/lease.ts'
import { holderOf, Registry, type Registration } from '../src/controller/routing/registry.ts'
import { createRoll, type Roll, type RollChange } from '../src/controller/routing/roll.ts'
import { openStoreLink } from '../src/controller/store/store-link.ts'
import { createLogger } from '../src/platform/logger.ts'
import { startNats } from './lab/nats-server.ts'

type Task = { readonly server: string; readonly workers: number; readonly registers: boolean }
/** `cpuUs`: of the process since its start. */
type Told = { readonly known: number; readonly cpuUs: number; readonly rssMib: number; readonly atMs: number }

const HEARTBEAT_MS = 10_000
const BEATS_MS = 60_000
const LANES = 64
const schema = { version: '1.0.0', input_schema: { type: 'object' }, output_schema: { type: 'object' } } as const
const SILENT = createLogger({ level: 'silent', service: 'bench' })

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { workers: { type: 'string', default: '10000' } } })
  const workers = Number(values.workers)
  const dir = await mkdtemp(join(tmpdir(), 'crank-bench-mesh-'))
  await using nats = await startNats({ dir })
  const server = `127.0.0.1:${String(nats.servers[0]?.port)}`
  const [first, second] = [true, false].map((registers) => start({ server, workers, registers }))
  if (first === undefined || second === undefined) throw new Error('no processes')
  try {
    say(`${workers} workers, two controllers, one NATS server, load ${loadavg()[0]?.toFixed(1) ?? ''}`)
    const startMs = Date.now()
    await until(async () => (await ask(first)).known === workers)
    const registered = Date.now() - startMs
    await until(async () => (await ask(second)).known === workers)
    say(
      `all registered and stored after ${registered} ms, known to the other ${Date.now() - startMs - registered} ms later`,
    )
    const before = [await ask(first), await ask(second)] as const
    say(`memory: ${before[0].rssMib.toFixed(0)} MiB and ${before[1].rssMib.toFixed(0)} MiB`)
    await delay(BEATS_MS)
    const after = [await ask(first), await ask(second)] as const
    const beats = (workers * BEATS_MS) / HEARTBEAT_MS
    const us = after.map(({ cpuUs }, at) => ((cpuUs - (before[at]?.cpuUs ?? 0)) / beats).toFixed(1))
    say(
      `heartbeats every ${HEARTBEAT_MS / 1000} s: ${us[0] ?? ''} us of CPU each where it arrives, ${us[1] ?? ''} us where it is told`,
    )
    const share = after.map(({ cpuUs }, at) => ((cpuUs - (before[at]?.cpuUs ?? 0)) / (BEATS_MS * 10)).toFixed(2))
    say(`that is ${share[0] ?? ''} % and ${share[1] ?? ''} % of a core`)
  } finally {
    first.kill()
    second.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

function start(task: Task): ChildProcess {
  return fork(import.meta.filename, ['--child', JSON.stringify(task)])
}

async function ask(child: ChildProcess): Promise<Told> {
  const answered = once(child, 'message')
  child.send('told')
  const [told] = (await answered) as [Told]
  return told
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(20)
}

/** A controller without listeners: its registry, and its part of the mesh. */
async function serve({ server, workers, registers }: Task): Promise<void> {
  const monotonic = performance.now.bind(performance)
  const registry = new Registry({
    processId: '',
    heartbeatIntervalMs: HEARTBEAT_MS,
    monotonic,
    onGone: () => undefined,
  })
  const awaited = createAwaited([])
  const roll = createRoll({ registry, awaited, hint: undefined })
  const link = openStoreLink({ connect: () => connect({ servers: [server] }), replicas: 1, monotonic, log: SILENT })
  const mesh = openMesh({
    ...{ link, heartbeatIntervalMs: HEARTBEAT_MS, monotonic, log: SILENT },
    apply: (change) => takeOver(roll, change),
    beats: (beats) => beats.forEach(roll.beat),
    isKnown: (holder) => registry.holder(holder) !== undefined || awaited.has(holder),
    replacedBy: () => new Set(),
    live: () => [],
  })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    const known = registers ? registry.list().length - mesh.health().unwritten : registry.list().length
    const told: Told = { known, cpuUs: user + system, rssMib: process.memoryUsage.rss() / 2 ** 20, atMs: Date.now() }
    process.send?.(told)
  })
  process.on('disconnect', () => process.exit())
  if (registers) await registerAll({ registry, roll, mesh, workers })
}

/** The policy allows all of them. */
function takeOver(roll: Roll, change: RollChange): void {
  roll.apply(change)
  if (change.kind !== 'learned') return
  const { spiffeId, leaseHash, registeredAt, body } = change.worker
  const registration = registrationOf(spiffeId, body.worker_id, body.worker_url)
  roll.apply({ kind: 'restored', registration, tenure: { leaseHash, registeredAt }, body })
}

type Parts = { readonly registry: Registry; readonly roll: Roll; readonly mesh: Mesh; readonly workers: number }

async function registerAll({ registry, roll, mesh, workers }: Parts): Promise<void> {
  await mesh.viewed(10_000)
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < workers) {
      const at = next++
      const spiffeId = parseSpiffeId(`spiffe://crank.local/worker/w${Math.floor(at / 60)}`)
      const registration = registrationOf(spiffeId, `worker-${at}`, `https://10.0.0.1:${9000 + (at % 50_000)}`)
      const body = {
        worker_id: registration.workerId,
        worker_url: registration.origin,
        capabilities: [{ verb: 'invoke', name: 'work', ...schema }],
      }
      const tenure = { leaseHash: hashOfLease(`lease ${at}`), registeredAt: new Date().toISOString() }
      const change = { kind: 'registered', registration, tenure, body } as const
      roll.apply(change)
      await mesh.changed(change)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  // Spread over the interval, as those of real workers are.
  const all = registry.list()
  let at = 0
  setInterval(() => {
    for (let sent = 0; sent < all.length / 100; sent++) {
      const worker = all[at++ % all.length]
      if (worker === undefined) continue
      registry.heartbeat(worker, 1)
      mesh.beat({ holder: holderOf(worker), load: 1 })
    }
  }, HEARTBEAT_MS / 100)
}

function registrationOf(spiffeId: Registration['spiffeId'], workerId: string, origin: string): Registration {
  return {
    spiffeId,
    workerId,
    origin,
    capabilities: new Map([[makeCapability('invoke', 'work'), { verb: 'invoke', name: 'work', ...schema }]]),
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

if (import.meta.main) {
  const task = process.argv[3]
  await (process.argv[2] === '--child' && task !== undefined ? serve(JSON.parse(task) as Task) : main())
}
