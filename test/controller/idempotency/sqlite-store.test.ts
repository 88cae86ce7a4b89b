// The store with its thread and its file: what it does while the file cannot be used, and how it comes back by itself.
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Begun, Claim, KeyStore } from '../../../src/controller/idempotency/key-store.ts'
import { isAlive, thisProcess } from '../../../src/controller/idempotency/owner.ts'
import { createSqliteStore } from '../../../src/controller/idempotency/sqlite-store.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { until } from '../../fixtures/until.ts'

const PACE = { reopenMs: 20, sweepMs: 20 }
const UNAVAILABLE = { code: 'idempotency_unavailable' }

let dir: string
let file: string
let lines: Record<string, unknown>[]
const stores: KeyStore[] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-store-'))
  file = join(dir, 'store.sqlite')
  lines = []
})
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()))
  await rm(dir, { recursive: true })
})

function open(options: Partial<Parameters<typeof createSqliteStore>[0]> = {}): KeyStore {
  const note = (line: object): void => void lines.push(line as Record<string, unknown>)
  const log = { warn: note, error: note } as never
  const store = createSqliteStore({
    file,
    now: Date.now,
    monotonic: () => performance.now(),
    log,
    pace: PACE,
    ...options,
  })
  stores.push(store)
  return store
}

function claim(key: string, decisionId: string = randomUUID()): Claim {
  const id = createHash('sha256').update(key).digest()
  return { id, fingerprint: id, caller: parseSpiffeId('spiffe://crank.local/worker/a'), decisionId }
}

const done = (text: string) =>
  ({ to: 'done', answer: { kind: 'answer', status: 200, headers: [], body: Buffer.from(text) } }) as const

/** Waits until the store takes claims. */
async function begun(store: KeyStore, it: Claim): Promise<Begun> {
  await until('the store is back', () => store.health().ok)
  return store.begin(it)
}

describe('the store', () => {
  test('makes its file, private, with the first key, and keeps what it said over a restart', async () => {
    const store = open()
    expect(existsSync(file)).toBe(false)
    const [first, second, third] = [claim('a'), claim('b'), claim('c')]
    expect(await Promise.all([first, second, third].map(store.begin))).toEqual(Array(3).fill({ state: 'begun' }))
    for (const name of ['', '-wal', '-shm']) expect((await stat(file + name)).mode & 0o777).toBe(0o600)
    expect(await store.end(first, done('hi'))).toBe(true)
    expect(await store.end(second, { to: 'free' })).toBe(true)
    await store.close()
    await expect(store.begin(claim('d'))).rejects.toMatchObject(UNAVAILABLE)

    const next = open()
    expect(await next.begin(claim('a'))).toMatchObject({ state: 'done', decisionId: first.decisionId })
    expect(await next.begin(claim('b'))).toEqual({ state: 'begun' })
    expect(await next.begin(claim('c'))).toEqual({ state: 'unknown' })
    await until('the counts are there', () => next.health().counts.in_flight === 1)
    expect(next.health()).toMatchObject({ ok: true, queued: 0, counts: { in_flight: 1, done: 1, unknown: 1 } })
    expect(lines).toEqual([])
  })

  test('takes one claim of many at the same moment', async () => {
    const store = open()
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.begin(claim('a'))))
    expect(answers.filter(({ state }) => state === 'begun')).toHaveLength(1)
    expect(answers.filter(({ state }) => state === 'in_flight')).toHaveLength(49)
  })

  test('refuses what is more than its queue holds', async () => {
    const store = open({ pace: { ...PACE, queued: 3 } })
    // Opening it is one of the three.
    const results = await Promise.allSettled(['a', 'b', 'c', 'd'].map((key) => store.begin(claim(key))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
    expect(results[3]).toMatchObject({ reason: { ...UNAVAILABLE, retryAfterS: 1 } })
    expect(await store.begin(claim('d'))).toEqual({ state: 'begun' })
  })

  test('refuses new keys over its limit', async () => {
    const store = open({ limits: { keysPerCaller: 1 } })
    await store.begin(claim('a'))
    await expect(store.begin(claim('b'))).rejects.toMatchObject(UNAVAILABLE)
    expect(store.health().ok).toBe(true)
  })
})

describe('a file that is not a store', () => {
  for (const [what, bytes] of [
    ['garbage', Buffer.alloc(5000, 'garbage')],
    ['an empty file', Buffer.alloc(0)],
  ] as const) {
    test(`(${what}) is refused and left as it is, until it is moved away`, async () => {
      await writeFile(file, bytes)
      const store = open()
      await until('the store is away', () => !store.health().ok)
      await expect(store.begin(claim('a'))).rejects.toMatchObject(UNAVAILABLE)
      expect(await readFile(file)).toEqual(bytes)
      const reason = `${file}: the file is not a store of idempotency keys; move it away; a store that was damaged loses the keys in it`
      expect(lines).toEqual([{ event: 'idempotency_unavailable', reason }])
      await rename(file, `${file}.aside`)
      expect(await begun(store, claim('a'))).toEqual({ state: 'begun' })
      expect(lines[1]).toMatchObject({ event: 'idempotency_recovered', refused: 1 })
    })
  }

  test('(a database of something else, a newer format) is not touched', async () => {
    const foreign = new DatabaseSync(file)
    foreign.exec('CREATE TABLE notes (text)')
    foreign.close()
    const before = await readFile(file)
    const store = open()
    await until('the store is away', () => !store.health().ok)
    expect(await readFile(file)).toEqual(before)
    await rm(file)
    await begun(store, claim('a'))
    await store.close()
    const newer = new DatabaseSync(file)
    newer.exec('PRAGMA user_version = 2')
    newer.close()
    const older = open()
    await until('the store is away', () => !older.health().ok)
    expect(String(lines.at(-1)?.['reason'])).toContain(
      'the store has format 2, and this version of crank reads format 1; start the version that wrote it',
    )
  })
})

describe('a store that fails while it is used', () => {
  test('because the file was moved: makes another one', async () => {
    const store = open()
    await store.begin(claim('a'))
    await rename(file, `${file}.aside`)
    await until('there is another file', () => existsSync(file))
    expect(await begun(store, claim('a'))).toEqual({ state: 'begun' })
    // What the moved file does not have yet; SQLite would have written it into the new one.
    expect(existsSync(`${file}-wal.aside`)).toBe(true)
  })

  test('because another process locks it: keys that ended meanwhile are settled when it is back', async () => {
    const store = open({ pace: { ...PACE, answerMs: 1000 } })
    // The start of its thread may take longer than the time that it has for an answer.
    await begun(store, claim('first'))
    const [ran, idle, runs] = [claim('ran'), claim('idle'), claim('runs')]
    for (const it of [ran, idle, runs]) await store.begin(it)
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    await expect(store.begin(claim('b'))).rejects.toMatchObject(UNAVAILABLE)
    expect(await store.end(ran, done('lost'))).toBe(false)
    expect(await store.end(idle, { to: 'free' })).toBe(false)
    other.exec('ROLLBACK')
    other.close()
    expect(await begun(store, claim('ran'))).toEqual({ state: 'unknown' })
    expect(await store.begin(claim('idle'))).toEqual({ state: 'begun' })
    expect(await store.begin(claim('runs'))).toEqual({ state: 'in_flight' })
    // Its caller was refused, so nothing was sent in its name.
    expect(await store.begin(claim('b'))).toEqual({ state: 'begun' })
    expect(await store.end(runs, done('kept'))).toBe(true)
    expect(await store.begin(claim('runs'))).toMatchObject({ state: 'done' })
    expect(lines.map(({ event }) => event)).toEqual(['idempotency_unavailable', 'idempotency_recovered'])
  })

  test('because the file is damaged: refuses keys, and changes nothing', async () => {
    const store = open()
    await store.begin(claim('a'))
    await store.close()
    const bytes = await readFile(file)
    // Everything behind the header of the first page.
    await writeFile(file, bytes.fill(0xff, 100))
    const damaged = await readFile(file)
    const next = open()
    await until('the store is away', () => !next.health().ok)
    await expect(next.begin(claim('a'))).rejects.toMatchObject(UNAVAILABLE)
    expect(await readFile(file)).toEqual(damaged)
    expect(String(lines[0]?.['reason'])).toContain('the store is damaged; move it away, which forgets the keys in it')
  })
})

test('knows a process by its start, not only by its number', () => {
  const own = thisProcess()
  expect(isAlive(own)).toBe(true)
  expect(isAlive(own.replace(/ \d+ /, ' 1 '))).toBe(false)
  expect(isAlive('99999999 5 boot')).toBe(false)
})
