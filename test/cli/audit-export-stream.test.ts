// `crank audit export --from nats`, as an auditor runs it, with a real stream of chains of several controllers.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startNats, type NatsCluster } from '../../scripts/lab/nats-server.ts'
import { AUDIT_STREAM, subjectOf } from '../../src/audit/audit-stream.ts'
import { openAuditStream } from '../../src/controller/audit-shipping/audit-stream-store.ts'
import { readLine } from '../../src/controller/audit-shipping/log-record.ts'
import { makeChain, type MadeChain } from '../fixtures/audit-segments.ts'
import { connectTo, makeStream } from '../fixtures/audit-stream.ts'
import { AUDIT_EVENTS } from '../observability/audit-events.ts'
import { crank } from './in-process.ts'

const FIRST = '11111111-1111-4111-8111-111111111111'
const SECOND = '22222222-2222-4222-8222-222222222222'

let dir: string
let nats: NatsCluster
let nc: NatsConnection

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-nats-'))
  nats = await startNats({ dir })
  nc = await connectTo(nats)
})
afterAll(async () => {
  await nc.close()
  await nats[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(async () => {
  const { streams } = await jetstreamManager(nc)
  await streams.delete(AUDIT_STREAM).catch(() => undefined)
})

const at = (second: number) => ({
  ...AUDIT_EVENTS.policy_decision,
  timestamp: new Date(Date.UTC(2026, 10, 1, 0, 0, second)).toISOString(),
  decision_id: `d-${second}`,
})

/** A chain with a decision at each of these seconds. */
async function chainOf(...seconds: number[]): Promise<MadeChain> {
  const chain = await makeChain()
  await chain.add(...seconds.map(at))
  return chain
}

/** Stores lines as a controller does. */
async function store(name: string, lines: readonly string[]): Promise<void> {
  const stream = await openAuditStream(nc, { replicas: 1, writer: { host: 'test', slot: 0 } })
  const last = await stream.lastOf(name)
  await stream.append(
    name,
    lines.map((text) => ({ text, record: readLine(text).record! })),
    last?.streamSeq ?? 0,
  )
}

/** Stores a message as somebody who gets around the controllers. */
async function storeByHand(name: string, text: string): Promise<void> {
  await nc.request(subjectOf(name), text)
}

const exported = (...args: string[]) =>
  crank(['audit', 'export', '--from', 'nats', ...args], { env: { CRANK_NATS_URL: nats.url } })
const idsIn = (stdout: string): (string | undefined)[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { decision_id?: string }).decision_id)

describe('records', () => {
  test('of all chains come by time, unchanged', async () => {
    const [first, second] = [await chainOf(1, 3, 5), await chainOf(2, 4)]
    await store(FIRST, first.lines)
    await store(SECOND, second.lines)
    const { code, stdout, stderr } = await exported()
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('5 records as jsonl') as string })
    expect(idsIn(stdout)).toEqual(['d-1', 'd-2', 'd-3', 'd-4', 'd-5'])
    expect(stdout.trimEnd().split('\n').toSorted()).toEqual([...first.lines, ...second.lines].toSorted())
  })

  test('from --since on and before --until', async () => {
    await store(FIRST, (await chainOf(1, 3, 5)).lines)
    await store(SECOND, (await chainOf(2, 4)).lines)
    const { code, stdout } = await exported('--since', '2026-11-01T00:00:02Z', '--until', '2026-11-01T00:00:05Z')
    expect({ code, ids: idsIn(stdout) }).toEqual({ code: 0, ids: ['d-2', 'd-3', 'd-4'] })
  })

  test('of many batches are all there, each with an id of its own', async () => {
    const chains = [await chainOf(...Array(900).keys()), await chainOf(...Array(700).keys())]
    await store(FIRST, chains[0]!.lines)
    await store(SECOND, chains[1]!.lines)
    const { code, stdout } = await exported('--format', 'ecs')
    const ids = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: { id: string } }).event.id)
    expect({ code, count: ids.length, different: new Set(ids).size }).toEqual({ code: 0, count: 1600, different: 1600 })
    expect(ids).toContain(`${SECOND}-700`)
  })

  test('an empty stream has none, which is no failure', async () => {
    await makeStream(nc)
    expect(await exported()).toMatchObject({ code: 0, stdout: '' })
  })
})

describe('what is wrong with a chain', () => {
  test('a record that is there twice is left out', async () => {
    const { lines } = await chainOf(1, 2)
    await store(FIRST, lines)
    await storeByHand(FIRST, lines[0]!)
    await storeByHand(FIRST, lines[1]!)
    const { code, stdout } = await exported()
    expect({ code, ids: idsIn(stdout) }).toEqual({ code: 0, ids: ['d-1', 'd-2'] })
  })

  test('a record that is missing is named, and what follows is there', async () => {
    const { lines } = await chainOf(1, 2, 3, 4, 5)
    await store(FIRST, [lines[0]!, lines[3]!, lines[4]!])
    const { code, stdout, stderr } = await exported()
    expect({ code, ids: idsIn(stdout) }).toEqual({ code: 1, ids: ['d-1', 'd-4', 'd-5'] })
    expect(stderr).toContain(`chain ${FIRST}: expected record 2, found record 4: records 2 to 3 are missing`)
  })

  test('the oldest records are missing, unless they need not be read', async () => {
    const { lines } = await chainOf(1, 2, 3)
    await store(FIRST, lines.slice(1))
    const { code, stderr } = await exported()
    expect(code).toBe(1)
    expect(stderr).toContain(`chain ${FIRST}: record 1 is missing, and their removal is not on record`)
    expect(await exported('--since', '2026-11-01')).toMatchObject({ code: 0 })
  })

  test('a record that was changed is named and left out', async () => {
    const { lines } = await chainOf(1, 2, 3)
    await store(FIRST, lines.slice(0, 1))
    await storeByHand(FIRST, lines[1]!.replace('d-2', 'd-9'))
    await storeByHand(FIRST, lines[2]!)
    const { code, stdout, stderr } = await exported()
    expect({ code, ids: idsIn(stdout) }).toEqual({ code: 1, ids: ['d-1', 'd-3'] })
    expect(stderr).toContain(`chain ${FIRST}: message 2 of the stream is no genuine record (hash_mismatch)`)
  })

  test('a record of another history is named', async () => {
    const [one, other] = [await chainOf(1, 2), await chainOf(1, 7, 8)]
    await store(FIRST, one.lines)
    await storeByHand(FIRST, other.lines[2]!)
    const { code, stderr } = await exported()
    expect(code).toBe(1)
    expect(stderr).toContain(`chain ${FIRST}: the record does not continue the previous one`)
  })
})

describe('a stream that cannot be read', () => {
  test('there is none', async () => {
    const { code, stderr } = await exported()
    expect(code).toBe(3)
    expect(stderr).toMatch(
      /cannot read the stream CRANK-AUDIT: stream not found\s+the first controller with CRANK_AUDIT_STREAM=on/,
    )
  })

  test('no server listens', async () => {
    const env = { CRANK_NATS_URL: 'nats://127.0.0.1:1' }
    const { code, stderr } = await crank(['audit', 'export', '--from', 'nats'], { env })
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining('at 127.0.0.1:1') as string })
  })

  test('settings are missing, or say two things', async () => {
    const nowhere = await crank(['audit', 'export', '--from', 'nats'])
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('CRANK_NATS_URL') as string })
    const env = { CRANK_NATS_URL: 'tls://127.0.0.1:1' }
    const nobody = await crank(['audit', 'export', '--from', 'nats'], { env })
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('CRANK_TLS_CERT') as string })
    const both = await exported('--audit-dir', dir)
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('--from nats reads no files') as string })
  })
})
