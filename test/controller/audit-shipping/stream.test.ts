// The shipper to a stream in a real NATS server: every record once and in order, whatever is killed, full, emptied or restored.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startNats, type NatsCluster } from '../../../scripts/lab/nats-server.ts'
import { AUDIT_STREAM } from '../../../src/audit/audit-stream.ts'
import { segmentFile } from '../../../src/audit/places.ts'
import { readShipped, shippedFile } from '../../../src/audit/shipped.ts'
import { createStreamDestination } from '../../../src/controller/audit-shipping/stream-destination.ts'
import { decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'
import { connectTo, makeStream, storedIn, textsIn } from '../../fixtures/audit-stream.ts'
import { until } from '../../fixtures/until.ts'
import { shipTo, type Ship } from './support.ts'

vi.setConfig({ testTimeout: 120_000 })

const PROGRAM = fileURLToPath(new URL('../../fixtures/shipper-process.ts', import.meta.url))
const KILLS = 8
/** A second: the shortest that a test can outlive. */
const SHORT_WINDOW = { duplicate_window: 1_000_000_000 }

type Lab = { readonly nats: NatsCluster; readonly nc: NatsConnection }

async function started({
  servers = 1,
  limits,
}: { servers?: number; limits?: Partial<StreamConfig> } = {}): Promise<Lab> {
  const dir = await mkdtemp(join(tmpdir(), 'crank-nats-'))
  const nats = await startNats({ dir, servers })
  const nc = await connectTo(nats)
  onTestFinished(async () => {
    await nc.close()
    await nats[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  })
  if (limits !== undefined)
    await until('the stream is made', () =>
      makeStream(nc, limits).then(
        () => true,
        () => false,
      ),
    )
  return { nats, nc }
}

const stream = (chain: MadeChain, { nats }: Lab, slot = 0): Ship =>
  shipTo(
    chain,
    (common) =>
      createStreamDestination({
        ...common,
        host: 'test',
        replicas: nats.servers.length,
        connect: () => connectTo(nats),
      }),
    { slot },
  )

const hasSaid = ({ said }: Ship, event: string) => until(event, () => said.some((line) => line.event === event))
const isShipped = (chain: MadeChain, seq = chain.head.seq) =>
  until(`the place is at ${seq}`, async () => (await readShipped(chain.folder, 'nats'))?.seq === seq, 60_000)

/** Each record is there once, in its order. */
async function arrives({ nc }: Lab, chain: MadeChain): Promise<void> {
  await isShipped(chain)
  expect(await textsIn(nc)).toEqual(chain.lines)
}

describe('what is stored', () => {
  test('every record of every segment once, unchanged and in order, and what follows', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await chain.add(...decisions(700))
    await chain.rotate()
    await chain.add(...decisions(600))
    const { shipper, said } = stream(chain, lab)
    await arrives(lab, chain)
    await chain.add(...decisions(1))
    await arrives(lab, chain)
    expect(await shipper.standing()).toMatchObject({ target: 'nats', lagRecords: 0, lastError: null, accepted: 1302 })
    expect(said).toEqual([])
  })

  test('a chain for each slot of each controller, whatever they ship at the same time', async () => {
    const lab = await started()
    const chains = await Promise.all([makeChain(0), makeChain(0), makeChain(1)])
    await Promise.all(chains.map((chain) => chain.add(...decisions(1500))))
    chains.forEach((chain, slot) => stream(chain, lab, slot))
    await Promise.all(chains.map((chain) => isShipped(chain)))
    const stored = await storedIn(lab.nc)
    const subjects = [...new Set(stored.map(({ subject }) => subject))]
    expect(subjects).toHaveLength(3)
    const byChain = subjects.map((name) => stored.filter(({ subject }) => subject === name).map(({ text }) => text))
    for (const chain of chains) expect(byChain).toContainEqual(chain.lines)
  })

  test('nobody can delete from the stream that a controller makes', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await chain.add(...decisions(3))
    stream(chain, lab)
    await arrives(lab, chain)
    const { streams } = await jetstreamManager(lab.nc)
    await expect(streams.deleteMessage(AUDIT_STREAM, 2)).rejects.toThrow('message delete not permitted')
    await expect(streams.purge(AUDIT_STREAM)).rejects.toThrow('stream purge not permitted')
  })
})

describe('an interruption', () => {
  test('a server that is killed and comes back: nothing is lost or stored twice', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await chain.add(...decisions(20))
    const shipping = stream(chain, lab)
    await arrives(lab, chain)
    const [server] = lab.nats.servers
    await server!.signal('SIGKILL')
    await chain.add(...decisions(20))
    await hasSaid(shipping, 'audit_ship_failed')
    expect(await shipping.shipper.standing()).toMatchObject({ shippedSeq: 20, lagRecords: 20 })
    await server!.start()
    await arrives(lab, chain)
    await hasSaid(shipping, 'audit_ship_resumed')
  })

  test('NATS is away from the start: how long the oldest record waits is known', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await lab.nats.servers[0]!.signal('SIGKILL')
    await chain.add(...decisions(2))
    const shipping = stream(chain, lab)
    await hasSaid(shipping, 'audit_ship_failed')
    const waits = async (): Promise<number> => (await shipping.shipper.standing()).oldestUnshippedMs
    await until('it counts', async () => (await waits()) > 0)
    await lab.nats.servers[0]!.start()
    await arrives(lab, chain)
  })

  test('longer than the duplicate window, with a place that is older than the stream', async () => {
    const [lab, chain] = [await started({ limits: SHORT_WINDOW }), await makeChain()]
    await chain.add(...decisions(5))
    const first = stream(chain, lab)
    await isShipped(chain)
    const old = await readFile(shippedFile(chain.folder, 'nats'))
    await chain.add(...decisions(600))
    await isShipped(chain)
    await first.shipper.close()
    await writeFile(shippedFile(chain.folder, 'nats'), old)
    await windowIsOver(lab)
    await chain.add(...decisions(3))
    stream(chain, lab)
    await arrives(lab, chain)
  })

  test('without a place on the disk: the stream says where to go on', async () => {
    const [lab, chain] = [await started({ limits: SHORT_WINDOW }), await makeChain()]
    await chain.add(...decisions(5))
    await stream(chain, lab).shipper.close(10_000)
    await windowIsOver(lab)
    await rm(shippedFile(chain.folder, 'nats'))
    await chain.add(...decisions(2))
    stream(chain, lab)
    await arrives(lab, chain)
  })

  test(`SIGKILL of the shipper, ${KILLS} times, while the log grows and is rotated`, async () => {
    const [lab, chain] = [await started({ limits: SHORT_WINDOW }), await makeChain()]
    for (let kill = 1; kill <= KILLS; kill++) {
      await chain.add(...decisions(300))
      if (kill % 3 === 0) await chain.rotate()
      const before = (await storedIn(lab.nc)).length
      // Once something is stored, which is before the place is on the disk, or once the place is.
      const moments = [
        async () => (await lastSeq(lab)) > before,
        async () => (await readShipped(chain.folder, 'nats'))?.seq === chain.head.seq,
      ]
      await killedWhen(chain, lab, moments[kill % moments.length]!)
    }
    await killedWhen(chain, lab, async () => (await readShipped(chain.folder, 'nats'))?.seq === chain.head.seq)
    expect(await textsIn(lab.nc)).toEqual(chain.lines)
  })

  test('the leader of three servers is killed while records are shipped', async () => {
    const [lab, chain] = [await started({ servers: 3, limits: { num_replicas: 3 } }), await makeChain()]
    await chain.add(...decisions(100))
    const shipping = stream(chain, lab)
    await isShipped(chain)
    const { streams } = await jetstreamManager(lab.nc)
    const leader = (await streams.info(AUDIT_STREAM)).cluster?.leader
    const server = lab.nats.servers.find(({ name }) => name === leader)
    const adding = (async () => {
      for (let round = 0; round < 20; round++) await chain.add(...decisions(50))
    })()
    await server!.signal('SIGKILL')
    await adding
    await isShipped(chain)
    await server!.start()
    await arrives(lab, chain)
    expect(await shipping.shipper.standing()).toMatchObject({ lagRecords: 0, missed: 0, lastError: null })
  })
})

describe('a stream that does not take it', () => {
  test('it is full: nothing is lost, it is said once, and with room everything follows', async () => {
    const [lab, chain] = [await started({ limits: { max_bytes: 100_000 } }), await makeChain()]
    await chain.add(...decisions(40))
    const shipping = stream(chain, lab)
    await isShipped(chain)
    await chain.add(...decisions(400))
    await hasSaid(shipping, 'audit_ship_failed')
    await until('it was refused twice', async () => (await shipping.shipper.standing()).oldestUnshippedMs > 200)
    expect(shipping.said.map(({ event, reason }) => [event, reason])).toEqual([
      ['audit_ship_failed', 'maximum bytes exceeded (JetStream error 10077)'],
    ])
    expect(await shipping.shipper.standing()).toMatchObject({ shippedSeq: 40, lagRecords: 400, rejected: 0 })
    const { streams } = await jetstreamManager(lab.nc)
    await streams.update(AUDIT_STREAM, { max_bytes: 10_000_000 })
    await arrives(lab, chain)
  })

  test('it is another kind of stream: what to change is said', async () => {
    const [lab, chain] = [await started({ limits: { allow_atomic: false } }), await makeChain()]
    await chain.add(...decisions(1))
    const shipping = stream(chain, lab)
    await hasSaid(shipping, 'audit_ship_failed')
    expect(shipping.said[0]?.['reason']).toBe(
      'the stream CRANK-AUDIT needs allow_atomic=true: edit it, or make another; NATS server 2.12 or newer is needed',
    )
    const { streams } = await jetstreamManager(lab.nc)
    await streams.update(AUDIT_STREAM, { allow_atomic: true })
    await arrives(lab, chain)
  })

  test('it was deleted and made again: the log is stored from its beginning', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await chain.add(...decisions(10))
    stream(chain, lab)
    await arrives(lab, chain)
    const { streams } = await jetstreamManager(lab.nc)
    await streams.delete(AUDIT_STREAM)
    await chain.add(...decisions(5))
    await until('it is there again', async () => (await storedIn(lab.nc)).length === 15)
    await arrives(lab, chain)
  })

  test('its limits have removed the chain: what follows the place is stored', async () => {
    const [lab, chain] = [await started({ limits: { ...SHORT_WINDOW, max_age: 1_500_000_000 } }), await makeChain()]
    await chain.add(...decisions(10))
    const { shipper } = stream(chain, lab)
    await isShipped(chain)
    await shipper.close()
    await until('its age has removed them', async () => (await storedIn(lab.nc)).length === 0, 20_000)
    await chain.add(...decisions(2))
    stream(chain, lab)
    await until('two are there', async () => (await storedIn(lab.nc)).length > 0)
    expect(await textsIn(lab.nc)).toEqual(chain.lines.slice(10))
  })
})

describe('a log that is another one than the stream has', () => {
  test('after a backup was restored it becomes a chain of its own, and says so', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await chain.add(...decisions(5))
    const backup = await readFile(chain.file)
    await chain.add(...decisions(2))
    await stream(chain, lab).shipper.close(10_000)
    await writeFile(chain.file, backup)
    const shipping = stream(chain, lab)
    await hasSaid(shipping, 'audit_ship_parted')
    await isShipped(chain, 5)
    const stored = await storedIn(lab.nc)
    expect(stored.map(({ text }) => text)).toEqual([...chain.lines, ...chain.lines.slice(0, 5)])
    expect(new Set(stored.map(({ subject }) => subject)).size).toBe(2)
    const parted = shipping.said.find(({ event }) => event === 'audit_ship_parted')
    expect(parted).toMatchObject({ seq: 7, former_chain: stored[0]!.subject.split('.')[2] })
  })

  test('a log that went on behind a checkpoint of the last stored record continues its chain', async () => {
    const [lab, chain] = [await started(), await makeChain()]
    await chain.add(...decisions(3))
    const short = await readFile(chain.file)
    await chain.add(...decisions(2))
    await stream(chain, lab).shipper.close(10_000)
    const first = chain.file
    await chain.rotate()
    await writeFile(first, short)
    expect(chain.file).toBe(segmentFile(chain.folder, 6))
    const { said } = stream(chain, lab)
    await isShipped(chain)
    expect(await textsIn(lab.nc)).toEqual(chain.lines)
    expect(said).toEqual([])
  })
})

/** The stream knows no message id any more. */
async function windowIsOver({ nc }: Lab): Promise<void> {
  const { streams } = await jetstreamManager(nc)
  const { state } = await streams.info(AUDIT_STREAM)
  await until('the duplicate window is over', () => Date.now() > Date.parse(state.last_ts) + 2000)
}

async function lastSeq({ nc }: Lab): Promise<number> {
  const { streams } = await jetstreamManager(nc)
  return (await streams.info(AUDIT_STREAM)).state.last_seq
}

/** Starts a shipper in a process, and kills it as soon as `moment` holds. */
async function killedWhen(chain: MadeChain, { nats }: Lab, moment: () => Promise<boolean>): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, chain.folder, nats.url], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  try {
    await until('the moment to kill it', moment)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}
