import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createAuditSearch, type AuditPage, type Cursor } from '../../../src/audit/index/search.ts'
import type { AuditQuery } from '../../../src/audit/index/traits.ts'
import { auditChainsIn } from '../../../src/audit/places.ts'
import { callOf, idAt, searchedWithoutIndex, temporaryDir, traceOf, writeChain, type AnyEvent } from './logs.ts'

const START = Date.UTC(2026, 10, 1)
const MINUTE = 60_000

const WHO = ['a', 'b', 'ab'].map((name) => `spiffe://crank.local/worker/${name}`)
const CAPS = ['use:one', 'use:two']
const DECISIONS = ['allow', 'allow', 'deny', 'would_deny']
const ENDS = [
  { outcome: 'completed', status: 200, error: null },
  { outcome: 'timeout', status: 504, error: 'worker_timeout' },
  { outcome: 'worker_failed', status: 503, error: 'worker_busy' },
  { outcome: 'caller_left', status: null, error: null },
]

/** Calls of many kinds, whose outcomes come some records, or some segments, later; other events between them. */
function mixedLog(random: () => number, calls: number, slot: number): AnyEvent[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const events: AnyEvent[] = []
  const waiting: AnyEvent[] = []
  for (let n = 0; n < calls; n++) {
    const atMs = START + n * MINUTE + slot
    const decision = pick(DECISIONS)
    const reasons =
      decision === 'allow' ? [] : [{ code: 'capability_not_declared', message: `No. ${pick(['Red', 'Blue'])}` }]
    const exception = random() < 0.1 ? 'legacy#use:one' : null
    const of = { requester_spiffe_id: pick(WHO), capability: pick(CAPS), decision, reasons, exception }
    const worker_id = pick(['worker-a', 'worker-b'])
    const [decided, ended] = callOf(n * 2 + slot, atMs, { ...of, ...pick(ENDS), worker_id })
    events.push(decided)
    if (decision !== 'deny') waiting.push(ended)
    while (waiting.length > 0 && random() < 0.5)
      events.push(waiting.splice(Math.floor(random() * waiting.length), 1)[0]!)
    if (random() < 0.05) events.push(refusal(n * 2 + slot + 100_000, atMs))
    if (random() < 0.05) events.push({ event: 'clock_stepped', timestamp: new Date(atMs).toISOString(), step_ms: 2500 })
  }
  return events
}

function refusal(n: number, atMs: number): AnyEvent {
  const ids = { decision_id: idAt(atMs, n), trace_id: traceOf(n), requester_spiffe_id: WHO[0], count: 1 }
  return {
    event: 'request_refused',
    timestamp: new Date(atMs).toISOString(),
    ...ids,
    error: 'body_too_large',
    reason: 'Too LARGE',
  }
}

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function inSegments(events: readonly AnyEvent[], count: number): AnyEvent[][] {
  const size = Math.ceil(events.length / count)
  return Array.from({ length: count }, (_, at) => events.slice(at * size, (at + 1) * size))
}

function randomQuery(random: () => number): AuditQuery {
  const maybe = (query: AuditQuery): AuditQuery => (random() < 0.3 ? query : {})
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  return {
    ...maybe({ decision: pick(['allow', 'deny', 'would_deny', 'error']) }),
    ...maybe({ outcome: pick(['completed', 'timeout', 'worker_failed', 'shutdown']) }),
    ...maybe({ who: pick(['worker/a', 'b', 'nobody']) }),
    ...maybe({ cap: pick(['use:one', 'use:two', 'use']) }),
    ...maybe({ worker: pick(['worker-a', 'worker']) }),
    ...maybe({
      status: pick([
        { from: 503, to: 503 },
        { from: 500, to: 599 },
      ]),
    }),
    ...maybe({ text: pick(['red', 'CAPABILITY', 'busy', 'legacy', 'large', 'zzz']) }),
    ...maybe({ since: START + Math.floor(random() * 200) * MINUTE }),
    ...maybe({ until: START + Math.floor(random() * 200) * MINUTE }),
  }
}

async function allPages(auditDir: string, query: AuditQuery, order: 'newest' | 'oldest', limit: number) {
  const found = new Map<number | null, string[]>()
  let after: Cursor | undefined
  await using search = createAuditSearch(auditChainsIn(auditDir))
  do {
    const page: AuditPage = await search.page(query, { order, limit, after })
    expect(page.hits.length).toBeLessThanOrEqual(limit)
    for (const { slot, record } of page.hits) {
      found.set(slot, [...(found.get(slot) ?? []), String(record['decision_id'])])
    }
    after = page.next
  } while (after !== undefined)
  return found
}

test('finds what reading everything finds, in pages, in both orders, over slots, segments and their forms', async () => {
  const random = seeded(16)
  const auditDir = temporaryDir()
  const logs = [0, 1].map((slot) => mixedLog(random, 200, slot))
  for (const [slot, events] of logs.entries()) writeChain(auditDir, slot, inSegments(events, 5), (at) => at % 2 === 0)
  const whole = auditChainsIn(auditDir).map(({ slot }) => withOpened(logs[slot!]!, 5))
  let hits = 0
  for (let n = 0; n < 90; n++) {
    const query = randomQuery(random)
    const order = n % 2 === 0 ? 'newest' : 'oldest'
    const found = await allPages(auditDir, query, order, n % 3 === 0 ? 7 : 1000)
    for (const slot of [0, 1]) {
      const expected = searchedWithoutIndex(whole[slot]!, query)
      const inOrder = order === 'newest' ? expected.toReversed() : expected
      expect({ query, order, found: found.get(slot) ?? [] }).toEqual({ query, order, found: inOrder })
      hits += expected.length
    }
  }
  expect(hits).toBeGreaterThan(1000)
})

/** With the records that begin the segments. */
function withOpened(events: readonly AnyEvent[], count: number): AnyEvent[] {
  return inSegments(events, count).flatMap((segment, at) =>
    at === 0
      ? segment
      : [{ event: 'audit_segment_opened', timestamp: segment[0]!.timestamp, reason: 'size' }, ...segment],
  )
}

const idsOf = (records: readonly { record: Record<string, unknown> }[]): unknown[] =>
  records.map(({ record }) => `${String(record['event'])} ${String(record['decision_id'])}`)

test('finds a call by its id, although its outcome is segments later, and its trace in all slots', async () => {
  const auditDir = temporaryDir()
  const trace_id = traceOf(1)
  const [decided, ended] = callOf(1, START, { trace_id })
  const [decidedLater, endedLater] = callOf(2, START + MINUTE, { trace_id })
  const others = (from: number): AnyEvent[] => [3, 4, 5].flatMap((n) => callOf(n + from, START + (from + n) * MINUTE))
  writeChain(auditDir, 0, [[decided, ...others(10)], others(20), [...others(30), ended]])
  writeChain(auditDir, 3, [[decidedLater, endedLater]])
  await using search = createAuditSearch(auditChainsIn(auditDir))
  const [first, second] = [idAt(START, 1), idAt(START + MINUTE, 2)]
  const whole = [`policy_decision ${first}`, `route_outcome ${first}`]
  expect(idsOf(await search.ofDecision(first.toUpperCase()))).toEqual(whole)
  expect(idsOf(await search.ofTrace(trace_id))).toEqual(
    [
      `policy_decision ${first}`,
      `route_outcome ${first}`,
      `policy_decision ${second}`,
      `route_outcome ${second}`,
    ].toSorted(() => 0),
  )
  expect(await search.ofDecision(idAt(START, 99))).toEqual([])
  expect(await search.ofTrace(traceOf(99))).toEqual([])
  // Together they are one call, and found by what only both have.
  const { hits } = await search.page(
    { decision: 'allow', until: START + MINUTE, outcome: 'completed' },
    { order: 'newest', limit: 9 },
  )
  expect(hits.map(({ records }) => idsOf(records))).toEqual([whole])
})

test('finds an id although the clock was set back by years meanwhile', async () => {
  const auditDir = temporaryDir()
  const years = 3 * 365 * 24 * 60 * MINUTE
  const times = [START, START + MINUTE, START - years, START - years + MINUTE, START + 2 * MINUTE]
  writeChain(
    auditDir,
    0,
    times.map((atMs, n) => callOf(n, atMs)),
  )
  await using search = createAuditSearch(auditChainsIn(auditDir))
  for (const [n, atMs] of times.entries()) expect(await search.ofDecision(idAt(atMs, n))).toHaveLength(2)
})

test('says where the outcomes are whose decisions retention has removed', async () => {
  const auditDir = temporaryDir()
  const [decided, ended] = callOf(1, START, { outcome: 'timeout' })
  const [file = ''] = writeChain(auditDir, 0, [[decided], [ended, ...callOf(2, START)]])
  rmSync(file)
  await using search = createAuditSearch(auditChainsIn(auditDir))
  const page = await search.page({ outcome: 'timeout' }, { order: 'newest', limit: 9 })
  expect(page.hits.map(({ records }) => idsOf(records))).toEqual([[`route_outcome ${idAt(START, 1)}`]])
  expect((await search.page({ decision: 'allow', outcome: 'timeout' }, { order: 'newest', limit: 9 })).hits).toEqual([])
})

test('a clock that was wrong when a segment began hides nothing', async () => {
  const auditDir = temporaryDir()
  const [decided, ended] = callOf(1, START, { outcome: 'timeout' })
  const wrong = (at: string): AnyEvent => ({ event: 'controller_started', timestamp: at, version: '1' })
  const future = [wrong('2099-01-01T00:00:00.000Z'), ...callOf(2, START + MINUTE), ended]
  const past = [wrong('1970-01-01T00:00:00.000Z'), ...callOf(3, START + 2 * MINUTE)]
  writeChain(auditDir, 0, [[decided], [wrong('2098-01-01T00:00:00.000Z')], future, past, callOf(4, START + 3 * MINUTE)])
  // Without indexes, then with them.
  for (let round = 0; round < 2; round++) {
    await using search = createAuditSearch(auditChainsIn(auditDir))
    for (const n of [1, 2, 3, 4]) {
      expect(await search.ofDecision(idAt(START + (n - 1) * MINUTE, n))).toHaveLength(2)
    }
    const query = { outcome: 'timeout', since: START, until: START + MINUTE }
    const { hits } = await search.page(query, { order: 'newest', limit: 9 })
    expect(hits.map(({ records }) => records.length)).toEqual([2])
  }
})

test('a time limits the segments that are looked at, and a segment without a record hides no older one', async () => {
  const auditDir = temporaryDir()
  const day = 24 * 60 * MINUTE
  const files = writeChain(
    auditDir,
    0,
    [0, 3, 6, 11].map((days, n) => callOf(n, START + days * day)),
  )
  writeFileSync(files[2]!, 'no record\n')
  const since = START + 3 * day
  const until = START + 9 * day
  const found = await allPages(auditDir, { since, until }, 'newest', 9)
  // The opening record of a segment has its time too, and no id.
  expect(found.get(0)).toEqual([idAt(START + 3 * day, 1), 'undefined'])
  expect(readdirSync(join(auditDir, '0')).filter((name) => name.endsWith('.index'))).toHaveLength(3)
})

test('more segments than stay open are searched as well, with and without their indexes', async () => {
  const auditDir = temporaryDir()
  const count = 70
  writeChain(
    auditDir,
    0,
    Array.from({ length: count }, (_, n) => callOf(n, START + n * MINUTE, { trace_id: traceOf(n % 2) })),
  )
  for (const ignoresIndexes of [true, false]) {
    await using search = createAuditSearch(auditChainsIn(auditDir), { ignoresIndexes })
    for (let round = 0; round < (ignoresIndexes ? 1 : 2); round++) {
      const page = await search.page({ outcome: 'completed', decision: 'allow' }, { order: 'oldest', limit: 1000 })
      expect(page.hits.map(({ records }) => records.length)).toEqual(Array.from({ length: count }, () => 2))
      expect(await search.ofTrace(traceOf(1))).toHaveLength(count)
      for (const n of [0, 40, 69]) expect(await search.ofDecision(idAt(START + n * MINUTE, n))).toHaveLength(2)
    }
  }
})
