// The rules of the store against a model, over random histories: claims, endings, time, restarts and crashes.
import { createHash, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Begun, Claim, StoredAnswer } from '../../../src/controller/idempotency/key-store.ts'
import { KeyTable } from '../../../src/controller/idempotency/key-table.ts'
import { openStoreFile } from '../../../src/controller/idempotency/store-file.ts'
import type { StoreLimits } from '../../../src/controller/idempotency/store-words.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const LIMITS: StoreLimits = { keysPerCaller: 1e6, keys: 1e6, bytesPerCaller: 1e9, bytes: 1e9, ttlMs: 1000 }
const CALLERS = [parseSpiffeId('spiffe://crank.local/worker/a'), parseSpiffeId('spiffe://crank.local/worker/b')]

let dir: string
let database: DatabaseSync
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crank-keys-'))
  database = openStoreFile(join(dir, 'store.sqlite'))
  database.exec('BEGIN')
})
afterEach(() => {
  database.close()
  rmSync(dir, { recursive: true })
})

function clear(): void {
  database.exec('DELETE FROM keys; DELETE FROM answers; DELETE FROM owners')
}

function tableOf({ owner = 'me', limits = {}, alive = [] as string[] } = {}): KeyTable {
  const isAlive = (process: string): boolean => alive.includes(process)
  return new KeyTable({ database, owner, process: owner, isAlive, limits: { ...LIMITS, ...limits } })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

type Over = { readonly request?: string; readonly caller?: number; readonly decisionId?: string }

function claim(key: string, { request = 'same', caller = 0, decisionId = randomUUID() }: Over = {}): Claim {
  return { id: digest(`${caller} ${key}`), fingerprint: digest(request), caller: CALLERS[caller]!, decisionId }
}

function answer(text = 'answer'): StoredAnswer {
  return {
    kind: 'answer',
    status: 200,
    headers: ['content-type', 'text/plain'],
    body: new Uint8Array(Buffer.from(text)),
  }
}

describe('the table of keys', () => {
  test('keeps an answer and a failure as they were', () => {
    const table = tableOf()
    const failure: StoredAnswer = { kind: 'failure', workerId: 'w', reason: 'no', reasonCode: 'OUT_OF_PAPER' }
    for (const stored of [answer(), answer(''), failure]) {
      const first = claim(randomUUID())
      expect(table.begin(first, 0)).toEqual({ state: 'begun' })
      expect(table.end(first, { to: 'done', answer: stored }, 1)).toBe(true)
      const again = table.begin({ ...first, decisionId: randomUUID() }, 2)
      expect(again).toEqual({ state: 'done', decisionId: first.decisionId, answer: stored })
    }
  })

  test('lets only the holder end a claim, and only once', () => {
    const table = tableOf()
    const first = claim('k')
    table.begin(first, 0)
    expect(table.end({ ...first, decisionId: 'other' }, { to: 'free' }, 1)).toBe(false)
    expect(table.end(first, { to: 'unknown' }, 1)).toBe(true)
    expect(table.end(first, { to: 'done', answer: answer() }, 1)).toBe(false)
    expect(table.begin(first, 2)).toEqual({ state: 'unknown' })
  })

  test('drops the least recently used answer of a caller with too many bytes; its key becomes unknown', () => {
    const table = tableOf({ limits: { bytesPerCaller: 1000 } })
    const claims = ['a', 'b', 'c'].map((key) => claim(key))
    for (const [index, it] of claims.slice(0, 2).entries()) {
      table.begin(it, index)
      table.end(it, { to: 'done', answer: answer('x'.repeat(100)) }, index)
    }
    // Used again, so "b" is older.
    expect(table.begin(claims[0]!, 10)).toMatchObject({ state: 'done' })
    table.begin(claims[2]!, 11)
    table.end(claims[2]!, { to: 'done', answer: answer('x'.repeat(100)) }, 11)
    const states = claims.map((it) => (table.begin(it, 12) as Begun).state)
    expect(states).toEqual(['done', 'unknown', 'done'])
  })

  test('refuses a new key of a caller with too many, until old ones have expired', () => {
    const table = tableOf({ limits: { keysPerCaller: 2, keys: 3 } })
    for (const key of ['a', 'b']) {
      table.begin(claim(key, { decisionId: key }), 0)
      table.end(claim(key, { decisionId: key }), { to: 'unknown' }, 0)
    }
    expect(table.begin(claim('c'), 999)).toBe('full')
    expect(table.begin(claim('a'), 999)).toEqual({ state: 'unknown' })
    expect(table.begin(claim('c', { caller: 1 }), 999)).toEqual({ state: 'begun' })
    expect(table.begin(claim('d', { caller: 1 }), 999)).toBe('full')
    expect(table.begin(claim('c'), 1000)).toEqual({ state: 'begun' })
  })

  test("leaves a living owner's keys alone, and makes those of a dead one unknown", () => {
    tableOf({ owner: 'alive' }).begin(claim('a'), 0)
    tableOf({ owner: 'dead' }).begin(claim('d'), 0)
    const table = tableOf({ alive: ['alive'] })
    table.sweep([], 5)
    expect(table.begin(claim('a'), 6)).toEqual({ state: 'in_flight' })
    expect(table.begin(claim('d'), 6)).toEqual({ state: 'unknown' })
    expect(table.counts()).toMatchObject({ in_flight: 1, unknown: 1 })
  })

  test('frees a claim whose caller never learned of it, but not one that is still on its way', () => {
    const table = tableOf()
    table.begin(claim('lost'), 0)
    table.begin(claim('young'), 60_001)
    table.begin(claim('running', { decisionId: 'r' }), 0)
    table.begin(claim('owed', { decisionId: 'o' }), 0)
    table.sweep([['r', 'running'], ['o', 'unknown']], 60_001) // prettier-ignore
    const states = ['lost', 'young', 'running', 'owed'].map((key) => (table.begin(claim(key), 60_002) as Begun).state)
    expect(states).toEqual(['begun', 'in_flight', 'in_flight', 'unknown'])
  })
})

type Row = {
  state: 'in_flight' | 'done' | 'unknown'
  request: string
  decisionId: string
  expiresMs: number
  text: string
}
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('begin' as const), key: fc.nat(3), request: fc.nat(1), caller: fc.nat(1) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('end' as const), pick: fc.nat(5), to: fc.constantFrom('done' as const, 'unknown' as const, 'free' as const), bytes: fc.nat(400) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.nat(700) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('sweep' as const, 'restart' as const, 'crash' as const) }) },
) // prettier-ignore

test('behaves like the model, over any history', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      clear()
      const model = new Map<string, Row>()
      let nowMs = 0
      let owner = 'p0'
      let table = tableOf({ owner })
      let open: { name: string; claim: Claim }[] = []
      const bury = (): void => {
        for (const row of model.values()) if (row.state === 'in_flight') Object.assign(row, { state: 'unknown', expiresMs: nowMs + 1000 })
        open = []
        owner = `p${Number(owner.slice(1)) + 1}`
      } // prettier-ignore
      for (const it of steps) {
        switch (it.do) {
          case 'begin': {
            const name = `${it.caller} ${it.key}`
            const row = model.get(name)
            if (row !== undefined && row.expiresMs <= nowMs) model.delete(name)
            const known = model.get(name)
            const mine = claim(String(it.key), { request: String(it.request), caller: it.caller })
            const expected = expectedOf(known, String(it.request))
            expect(table.begin(mine, nowMs)).toEqual(expected)
            if (known !== undefined) break
            open.push({ name, claim: mine })
            const { decisionId } = mine
            model.set(name, {
              state: 'in_flight',
              request: String(it.request),
              decisionId,
              expiresMs: Infinity,
              text: '',
            })
            break
          }
          case 'end': {
            const [held] = open.splice(it.pick, 1)
            if (held === undefined) break
            const text = 'x'.repeat(it.bytes)
            const ending = it.to === 'done' ? { to: it.to, answer: answer(text) } : { to: it.to }
            expect(table.end(held.claim, ending, nowMs)).toBe(true)
            if (it.to === 'free') model.delete(held.name)
            else Object.assign(model.get(held.name)!, { state: it.to, expiresMs: nowMs + 1000, text })
            break
          }
          case 'time':
            nowMs += it.ms
            break
          case 'sweep':
            table.sweep(open.map(({ claim: { decisionId } }) => [decisionId, 'running']), nowMs) // prettier-ignore
            break
          case 'restart':
            table.leave(nowMs)
            bury()
            table = tableOf({ owner })
            break
          case 'crash':
            bury()
            table = tableOf({ owner })
            table.reconcile([], nowMs, 0)
            break
          default:
            it satisfies never
        }
        const live = [...model.values()].filter(({ expiresMs }) => expiresMs > nowMs)
        const counted = table.counts()
        expect(counted.in_flight).toBe(live.filter(({ state }) => state === 'in_flight').length)
        expect(counted.done).toBeGreaterThanOrEqual(live.filter(({ state }) => state === 'done').length)
      }
    }),
    { numRuns: 150 },
  )
})

function expectedOf(row: Row | undefined, request: string): Begun {
  if (row === undefined) return { state: 'begun' }
  if (row.request !== request) return { state: 'reused' }
  if (row.state === 'done') return { state: 'done', decisionId: row.decisionId, answer: answer(row.text) }
  return { state: row.state }
}

test('never exceeds its limits, and never forgets a key within the hour, over any history', () => {
  const limits = { keysPerCaller: 5, keys: 8, bytesPerCaller: 1200, bytes: 2000, ttlMs: 1e9 }
  const call = fc.record({ key: fc.nat(7), caller: fc.nat(1), bytes: fc.nat(500) })
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      clear()
      const table = tableOf({ limits })
      const begun = new Set<string>()
      for (const [nowMs, { key, caller, bytes }] of calls.entries()) {
        const mine = claim(String(key), { caller })
        const name = `${caller} ${key}`
        const result = table.begin(mine, nowMs)
        if (result === 'full') expect(begun.has(name)).toBe(false)
        else if (result.state === 'begun') {
          // Once only, whatever was dropped.
          expect(begun.has(name)).toBe(false)
          begun.add(name)
          table.end(mine, { to: 'done', answer: answer('x'.repeat(bytes)) }, nowMs)
        }
        const { in_flight, done, unknown, bytes: stored } = table.counts()
        expect(in_flight + done + unknown).toBe(begun.size)
        expect(begun.size).toBeLessThanOrEqual(limits.keys)
        expect(stored).toBeLessThanOrEqual(limits.bytes)
        const real = database.prepare('SELECT count(*) AS n, sum(answer_bytes) AS bytes FROM keys').get()
        expect(real).toEqual({ n: begun.size, bytes: begun.size === 0 ? null : stored })
      }
    }),
    { numRuns: 150 },
  )
})
