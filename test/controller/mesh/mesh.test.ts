// What one controller of a mesh tells the others, over one real NATS server: two members, each with a roll that only takes notes.
import { jetstreamManager } from '@nats-io/jetstream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMesh, type Mesh } from '../../../src/controller/mesh/mesh.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'
import type { Beat, RollChange } from '../../../src/controller/routing/roll.ts'
import type { StoreLink } from '../../../src/controller/store/store-link.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { RegisterBody } from '../../../src/core/wire.ts'
import { HELLO_SCHEMA } from '../../fakes/worker.ts'
import { startStoreLinks, type StoreLinks } from '../../fixtures/store-links.ts'
import { until } from '../../fixtures/until.ts'

const HEARTBEAT_MS = 60_000
const spiffeId = parseSpiffeId('spiffe://crank.local/worker/hello-world')

type Member = {
  readonly link: StoreLink
  readonly mesh: Mesh
  readonly reasons: readonly string[]
  /** What it was told, in order: `<kind> <worker id>`. */
  readonly told: string[]
  /** Workers of whom another controller told it a heartbeat. */
  readonly beats: string[]
  readonly warned: string[]
}

let links: StoreLinks
let here: Member
let there: Member
beforeAll(async () => {
  links = await startStoreLinks()
  here = join()
  there = join()
  await Promise.all([here.mesh.viewed(10_000), there.mesh.viewed(10_000)])
})
afterAll(async () => {
  for (const { mesh } of [here, there]) mesh.close()
  await links[Symbol.asyncDispose]()
})

function join(): Member {
  const { link, reasons } = links.open()
  const [told, beats, warned]: string[][] = [[], [], []]
  const known = new Set<string>()
  const mesh = openMesh({
    ...{ link, heartbeatIntervalMs: HEARTBEAT_MS, monotonic: () => performance.now() },
    apply(change) {
      told!.push(wordOf(change))
      if (change.kind === 'learned') known.add(change.worker.leaseHash)
    },
    beats: (heard: readonly Beat[]) => beats!.push(...heard.map(({ holder }) => holder.workerId)),
    isKnown: ({ leaseHash }) => known.has(leaseHash),
    replacedBy: () => new Set(),
    live: () => [],
    log: {
      info: () => undefined,
      error: () => undefined,
      warn: ({ event }: { event: string }) => warned!.push(event),
    } as never,
  })
  return { link, mesh, reasons, told: told!, beats: beats!, warned: warned! }
}

function wordOf(change: RollChange): string {
  if (change.kind === 'learned') return `learned ${change.worker.body.worker_id}`
  if ('holder' in change) return `${change.kind} ${change.holder.workerId}`
  return `${change.kind} ${'id' in change ? change.id : change.registration.workerId}`
}

const holderOf = (workerId: string) => ({ spiffeId, workerId, leaseHash: hashOfLease(workerId) })
function registered(workerId: string, over: Partial<RegisterBody> = {}): RollChange {
  const body = { worker_id: workerId, worker_url: 'https://127.0.0.1:9100', capabilities: [HELLO_SCHEMA], ...over }
  const tenure = { leaseHash: hashOfLease(workerId), registeredAt: new Date().toISOString() }
  return { kind: 'registered', registration: { spiffeId, workerId } as never, tenure, body }
}

const tells = (member: Member, word: string) => until(word, () => member.told.includes(word))
const isOpen = (member: Member) => until('the link is open', () => member.link.session() !== undefined)

describe('a heartbeat', () => {
  test('of a worker that only the other controller has registered is told to that one', async () => {
    await there.mesh.changed(registered('elsewhere'))
    await tells(here, 'learned elsewhere')
    here.mesh.beat({ holder: holderOf('elsewhere'), load: 1 })
    // There it is one of its own, which this member takes for unknown: it is told of it.
    await tells(there, 'learned elsewhere')
  })

  test('of a worker that this one let go is no news; one that is heard again is learned again', async () => {
    here.mesh.beat({ holder: holderOf('nobody'), load: 1 })
    await here.mesh.changed(registered('heard'))
    await tells(there, 'learned heard')
    here.mesh.beat({ holder: holderOf('heard'), load: 1 })
    await until('it is told', () => there.beats.includes('heard'))
    expect(there.beats).not.toContain('nobody')
  })
})

test('a denial by the policy of one controller ends nothing elsewhere', async () => {
  await there.mesh.changed(registered('denied-here'))
  await tells(here, 'learned denied-here')
  await here.mesh.changed({ kind: 'dismissed', holder: holderOf('denied-here') })
  await here.mesh.changed(registered('after-the-denial'))
  await tells(there, 'learned after-the-denial')
  expect(there.told).not.toContain('dismissed denied-here')
  await there.mesh.changed({ kind: 'left', holder: holderOf('denied-here') })
  await tells(here, 'dismissed denied-here')
})

test('an entry that the store refuses holds up no other one', async () => {
  // More than a message may have.
  await here.mesh.changed(registered('too-large', { labels: { text: 'x'.repeat(1_100_000) } }))
  await here.mesh.changed(registered('behind-it'))
  await tells(there, 'learned behind-it')
  expect(here.warned).toContain('mesh_write_failed')
  expect(here.mesh.health().unwritten).toBe(1)
  await here.mesh.changed({ kind: 'left', holder: holderOf('too-large') })
  await until('nothing is left to write', () => here.mesh.health().unwritten === 0)
})

test('entries of a newer version are ignored, with a line each', async () => {
  await here.link.session()!.registry.put('x'.repeat(43), '{"v":2}')
  await here.link.session()!.drains.put('y', '{"v":2}')
  await until('they are reported', () => there.warned.filter((event) => event === 'mesh_entry_ignored').length >= 2)
  await here.mesh.changed(registered('after-the-newer'))
  await tells(there, 'learned after-the-newer')
})

describe('the store', () => {
  test('was away: drains and registrations of that time are told when it is back', async () => {
    await links.server.signal('SIGKILL')
    await here.mesh.changed({ kind: 'drained', id: 'worker-a' })
    await here.mesh.changed(registered('meanwhile'))
    expect(here.mesh.health().unwritten).toBe(2)
    await links.server.start()
    await tells(there, 'drained worker-a')
    await tells(there, 'learned meanwhile')
    await until('nothing is left to write', () => here.mesh.health().unwritten === 0)
  })

  test('has lost a bucket: it is made again, and written by those who have the workers', async () => {
    await Promise.all([isOpen(here), isOpen(there)])
    const jsm = await jetstreamManager(await links.connect())
    await here.mesh.changed(registered('kept'))
    await jsm.streams.delete('KV_crank-registry')
    await until('its workers are written again', async () => {
      const found = await jsm.streams.info('KV_crank-registry').catch(() => undefined)
      return (found?.state.messages ?? 0) > 0
    })
    await isOpen(there)
    expect(there.told).not.toContain('dismissed kept')
    await here.mesh.changed({ kind: 'left', holder: holderOf('kept') })
    await tells(there, 'dismissed kept')
  })

  test('sends no more changes: that is noticed, and the view begins again', async () => {
    await Promise.all([isOpen(here), isOpen(there)])
    const jsm = await jetstreamManager(await links.connect())
    for await (const { name } of jsm.consumers.list('KV_crank-drains')) {
      await jsm.consumers.delete('KV_crank-drains', name)
    }
    await here.mesh.changed({ kind: 'drained', id: 'worker-b' })
    await tells(there, 'drained worker-b')
    expect(there.reasons).toContain('its changes do not arrive')
  })
})
