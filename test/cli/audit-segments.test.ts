// The commands that count over the whole log, on two slots whose older segments are compressed.
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { compressSegment } from '../../src/audit/compress.ts'
import { auditDirIn, compressedFile, segmentFile } from '../../src/audit/places.ts'
import { openSegment } from '../../src/audit/segment-bytes.ts'
import type { Report } from '../../src/cli/replay/report.ts'
import { makeChain, type MadeChain } from '../fixtures/audit-segments.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { recordOf } from '../fixtures/replay.ts'
import { workerId } from './audit-file.ts'
import type { Finished } from './crank.ts'
import { crank } from './in-process.ts'

const DAY_MS = 86_400_000
const START_MS = Date.now()
const BY_EXCEPTION = `${workerId('legacy')}#use:old`
const MANIFESTS = JSON.stringify({
  workers: { [workerId('a')]: { worker_id: 'worker-a', required_capabilities: ['use:one', 'use:two'] } },
})
const EXCEPTIONS = JSON.stringify({
  [workerId('legacy')]: {
    capabilities: ['use:old'],
    reason: 'until ZET-7 is done',
    owner: 'team-a',
    created_at: timeOf(6),
    expires_after: 0,
  },
}).replace('"expires_after":0', `"expires_after":${BigInt(START_MS + DAY_MS) * 1_000_000n}`)

let policies: PolicyDir
let chains: MadeChain[]
beforeEach(async () => {
  policies = await copyPolicies({ 'data/worker_manifests.json': MANIFESTS, 'data/exceptions.json': EXCEPTIONS })
  const dir = auditDirIn(policies.dir)
  chains = [await makeChain(0, dir), await makeChain(1, dir)]
  for (const chain of chains) {
    // Five days ago, three days ago, and yesterday: a segment each.
    await chain.add(call('a', 'use:one', 5), byException(5))
    await next(chain, 3)
    await chain.add(call('a', 'use:two', 3), call('a', 'use:gone', 3), byException(2.5))
    await next(chain, 1)
    await chain.add(call('a', 'use:two', 1))
  }
})
afterEach(() => policies[Symbol.asyncDispose]())

const run = (...args: string[]): Promise<Finished> =>
  crank(args, {
    env: { CRANK_STATE_DIR: policies.dir, CRANK_POLICY_DIR: policies.dir, CRANK_ADMIN_URL: 'http://127.0.0.1:1' },
  })
const json = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse((await run(...args, '-o', 'json')).stdout) as Record<string, unknown>
const replay = async (...args: string[]): Promise<Report> =>
  (await json('replay', '--policy', policies.dir, ...args)) as unknown as Report

test('replay takes every decision of every segment of every slot, and verifies the chains', async () => {
  const report = await replay('--verify')
  expect(report).toMatchObject({ decisions: 12, changed: 2, notCompared: { trouble: 0, incomplete: 0, unreadable: 0 } })
  expect(report.audit).toMatchObject({ verified: true, file: chains.map(({ folder }) => folder).join(', ') })
  expect(report.changes[0]?.groups).toMatchObject([{ subject: 'use:gone', count: 2 }])
})

test('evaluates what it reads of compressed segments like what it read of plain ones', async () => {
  const before = await replay('--no-memo')
  for (const { file } of chains) compressSegment(file)
  const { changes, decisions } = await replay('--no-memo')
  expect({ changes, decisions }).toEqual({ changes: before.changes, decisions: before.decisions })
})

test.each([
  { of: ['--since', '2d'], decisions: 2 },
  { of: ['--since', '4d'], decisions: 8 },
  { of: ['--until', '4d'], decisions: 4 },
  { of: ['--since', '4d', '--until', '2d'], decisions: 6 },
  { of: ['--since', timeOf(2.75), '--until', timeOf(2)], decisions: 2 },
])('replay $of takes $decisions decisions, wherever the segments begin', async ({ of, decisions }) => {
  expect((await replay(...of)).decisions).toBe(decisions)
})

test('replay does not read segments outside of its time range', async () => {
  const [first] = chains
  const oldest = compressedFile(segmentFile(first!.folder, 1))
  await damage(oldest)
  expect(await replay('--since', '2d')).toMatchObject({ decisions: 2 })
  const { code, stderr } = await run('replay', '--policy', policies.dir)
  expect(code).toBe(2)
  expect(stderr).toContain(`${oldest} is damaged: `)
})

test('replay takes a compressed segment that is named', async () => {
  const oldest = compressedFile(segmentFile(chains[0]!.folder, 1))
  expect(await replay('--audit', oldest)).toMatchObject({ decisions: 2, notCompared: { unreadable: 0 } })
})

test('policy unused and shadow report count the calls of compressed segments', async () => {
  expect(await json('policy', 'unused', '--since', '4d')).toMatchObject({
    unused: [{ capability: 'use:one', last_used: expect.stringContaining(timeOf(5).slice(0, 10)) }],
    undeclared: [
      { capability: 'use:gone', by_exception: 0 },
      { capability: 'use:old', by_exception: 4 },
    ].map((one): unknown => expect.objectContaining(one)),
  })
  expect((await run('policy', 'unused', '--since', '30d')).stderr).toContain('12 calls in ')
  expect((await run('shadow', 'report', '--since', '30d')).stderr).toContain('12 calls in ')
  expect((await run('shadow', 'report', '--since', '4d')).stderr).toContain('8 calls in ')
})

test('exception list counts the uses of compressed segments, since the oldest exception was made', async () => {
  const { exceptions, audit_since: since } = await json('exception', 'list')
  expect(exceptions).toMatchObject([{ spiffe_id: workerId('legacy'), uses: 4, last_used_at: timeOf(2.5) }])
  expect(since).toBe(timeOf(5))
})

function call(who: string, capability: string, daysAgo: number): AuditEvent {
  return recordOf({ who, capability, decision: 'allow', atNs: nsOf(daysAgo), decisionId: `d-${capability}-${daysAgo}` })
}

function byException(daysAgo: number): AuditEvent {
  const made = recordOf({
    who: 'legacy',
    capability: 'use:old',
    decision: 'allow',
    grounds: ['exception'],
    atNs: nsOf(daysAgo),
  })
  return { ...made, exception: BY_EXCEPTION } as AuditEvent
}

/** Begins a segment and compresses the one before, as the controller does. */
async function next(chain: MadeChain, daysAgo: number): Promise<void> {
  const closed = chain.file
  await chain.rotate(timeOf(daysAgo + 0.01))
  compressSegment(closed)
}

/** Turns bytes of its content over; its table stays, so that it opens. */
async function damage(file: string): Promise<void> {
  const bytes = await readFile(file)
  // The magic number of the frame: what is damaged further in may, now and then, still decompress, to other lines.
  bytes.fill(0xff, 0, 4)
  await chmod(file, 0o600)
  await writeFile(file, bytes)
  await (await openSegment(file)).close()
}

function nsOf(daysAgo: number): bigint {
  return BigInt(START_MS - daysAgo * DAY_MS) * 1_000_000n
}

function timeOf(daysAgo: number): string {
  return new Date(START_MS - daysAgo * DAY_MS).toISOString()
}
