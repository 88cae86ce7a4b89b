import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadPolicyFiles, PolicyFilesError, type PolicyFiles } from '../../../src/controller/policy/policy-files.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'

const NOW_MS = Date.UTC(2026, 10, 23)
const A = 'spiffe://crank.local/worker/a'
const MANIFEST = { worker_id: 'worker-a', required_capabilities: ['a:b', 'c:d'], provided_capabilities: ['e:f'] }

async function load(files: Record<string, unknown>): Promise<PolicyFiles> {
  const texts = Object.entries(files).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  await using policies = await copyPolicies(Object.fromEntries(texts))
  return await loadPolicyFiles(policies.dir, NOW_MS)
}

describe('the policy folder', () => {
  test('of this repository is in order: every entry has its effect', async () => {
    const files = await loadPolicyFiles(POLICY_DIR, NOW_MS)
    expect(files.faults).toEqual([])
    expect(files.knownCapabilities).toContain('stream:text_events')
    expect(files.revision).toMatch(/^[0-9a-f]{12}$/)
  })

  test('becomes one data document, exceptions under their own name, numbers to the last digit', async () => {
    const files = await load({
      'data/worker_manifests.json': { workers: { [A]: MANIFEST } },
      'data/exceptions.json': `{"${A}": {"temporary_allow_all": true, "expires_after": 1767139200000000001}}`,
      'data/enforcement.json': '{}',
    })
    expect(files.dataText).toContain('1767139200000000001')
    expect(Object.keys(JSON.parse(files.dataText)).sort()).toEqual(['blocked', 'exceptions', 'workers'])
    expect(JSON.parse(files.dataText)).toMatchObject({ workers: { [A]: MANIFEST }, exceptions: { [A]: {} } })
  })

  test('knows what any manifest requires or provides', async () => {
    const files = await load({ 'data/worker_manifests.json': { workers: { [A]: MANIFEST } } })
    expect([...files.knownCapabilities].sort()).toEqual(['a:b', 'c:d', 'e:f'])
  })

  test('gives a call to try, and a stranger who is in no file', async () => {
    const files = await load({
      'data/worker_manifests.json': { workers: { 'not an id': MANIFEST, [A]: MANIFEST } },
      'data/exceptions.json': { 'spiffe://crank.local/self-check/stranger': { temporary_allow_all: true } },
    })
    expect(files.sampleAllow).toEqual({ spiffeId: A, capability: 'a:b' })
    expect(files.stranger.spiffeId).toBe('spiffe://crank.local/self-check/stranger-x')
  })

  test.each([
    ['a blocked identity', { identities: { [A]: null }, capabilities: {} }, undefined],
    ['a blocked capability', { identities: {}, capabilities: { 'a:b': false } }, { spiffeId: A, capability: 'c:d' }],
  ])('tries no call of %s', async (_what, blocked, sample) => {
    const files = await load({
      'data/worker_manifests.json': { workers: { [A]: MANIFEST } },
      'data/blocked.json': { blocked },
    })
    expect(files.sampleAllow).toEqual(sample)
  })

  test('without any manifest has no call to try', async () => {
    expect((await load({ 'data/worker_manifests.json': { workers: {} } })).sampleAllow).toBeUndefined()
  })

  test('has another revision when data or Rego change, and only then', async () => {
    await using policies = await copyPolicies()
    const revision = async (): Promise<string> => (await loadPolicyFiles(policies.dir, NOW_MS)).revision
    const first = await revision()
    expect(await revision()).toBe(first)
    await writeFile(join(policies.dir, 'data/exceptions.json'), '{}')
    const second = await revision()
    await writeFile(join(policies.dir, 'more.rego'), 'package crank.more\n')
    const third = await revision()
    expect(new Set([first, second, third]).size).toBe(3)
  })
})

describe('a policy folder is refused, with the file and the place, when', () => {
  test.each([
    [
      'a file is no JSON',
      'data/blocked.json',
      '{\n "blocked": }',
      /data\/blocked\.json: unexpected } at line 2 column 13$/,
    ],
    [
      'a key stands twice',
      'data/exceptions.json',
      '{"a": 1, "a": 2}',
      /data\/exceptions\.json: doubled key "a" at line 1 column 10$/,
    ],
    ['a file holds a list', 'data/exceptions.json', '[]', /data\/exceptions\.json: must hold a JSON object$/],
    [
      'two files give the same name',
      'data/more.json',
      '{"workers": {}}',
      /data\/worker_manifests\.json: another file already gives "workers"$/,
    ],
    [
      'a file gives the exceptions’ name',
      'data/more.json',
      '{"exceptions": {}}',
      /data\/more\.json: another file already gives "exceptions"$/,
    ],
    [
      'a file writes into the policy',
      'data/more.json',
      '{"crank": {}}',
      /data\/more\.json: the name "crank" belongs to the policy$/,
    ],
  ])('%s', async (_what, file, text, message) => {
    const failure = await load({ [file]: text }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(PolicyFilesError)
    expect((failure as Error).message).toMatch(message)
  })

  test('a file is not UTF-8', async () => {
    await using policies = await copyPolicies()
    await writeFile(join(policies.dir, 'data/blocked.json'), Buffer.from([0x7b, 0xff, 0x7d]))
    await expect(loadPolicyFiles(policies.dir, NOW_MS)).rejects.toThrow(/data\/blocked\.json: not valid UTF-8$/)
  })

  test('it is not there', async () => {
    await expect(loadPolicyFiles('/nonexistent/policies', NOW_MS)).rejects.toThrow('/nonexistent/policies')
  })
})

describe('entries without effect are named:', () => {
  test.each([
    ['a worker that is no SPIFFE ID', { workers: { a: MANIFEST } }, {}, 'worker "a": not a SPIFFE ID'],
    ['a worker that is no object', { workers: { [A]: [] } }, {}, `worker "${A}": not an object`],
    [
      'a manifest with a pattern for a capability',
      { workers: { [A]: { ...MANIFEST, required_capabilities: ['stream:*'] } } },
      {},
      `worker "${A}": required_capabilities is not a list of verb:name`,
    ],
    ['an exception for no SPIFFE ID', {}, { '*': {} }, 'exception "*": not a SPIFFE ID'],
    [
      'an exception for nothing',
      {},
      { [A]: { expires_after: 1 } },
      `exception "${A}": neither temporary_allow_all nor a list of capabilities`,
    ],
    [
      'an expiry as a date',
      {},
      { [A]: { temporary_allow_all: true, expires_after: '2099-01-01' } },
      `exception "${A}": expires_after is not a number of nanoseconds`,
    ],
    [
      'an expiry out of sight',
      {},
      { [A]: { temporary_allow_all: true, expires_after: (NOW_MS + 91 * 86_400_000) * 1e6 } },
      `exception "${A}": expires more than 90 days ahead`,
    ],
  ])('%s', async (_what, workers, exceptions, fault) => {
    const files = await load({ 'data/worker_manifests.json': workers, 'data/exceptions.json': exceptions })
    expect(files.faults).toEqual([fault])
  })
})
