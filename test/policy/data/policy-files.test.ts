import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadPolicyFiles, PolicyFilesError, type PolicyFiles } from '../../../src/policy/data/policy-files.ts'
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
    expect(files.dataFaults).toEqual([])
    expect(files.exceptions.map(({ name }) => name)).toEqual(['spiffe://crank.local/worker/legacy-service#*'])
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
      'data/worker_manifests.json': { workers: { [A]: MANIFEST } },
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
      'a file is not JSON',
      'data/blocked.json',
      '{\n "blocked": }',
      /data\/blocked\.json: unexpected } at line 2 column 13$/,
    ],
    [
      'a duplicate key',
      'data/exceptions.json',
      '{"a": 1, "a": 2}',
      /data\/exceptions\.json: duplicate key "a" at line 1 column 10$/,
    ],
    ['a file holds a list', 'data/exceptions.json', '[]', /data\/exceptions\.json: must contain a JSON object$/],
    [
      'a file gives another file’s member',
      'data/more.json',
      '{"workers": {}}',
      /data\/more\.json: "workers" belongs in worker_manifests\.json$/,
    ],
    [
      'a file gives the exceptions’ name',
      'data/more.json',
      '{"exceptions": {}}',
      /data\/more\.json: "exceptions" belongs in exceptions\.json$/,
    ],
    [
      'a file writes into the policy',
      'data/more.json',
      '{"crank": {}}',
      /data\/more\.json: the name "crank" is reserved for the policy$/,
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

  test('a text holds half of a surrogate pair', async () => {
    const failure = await load({ 'data/worker_manifests.json': '{"workers":{"a":\n"\\ud800"}}' }).catch(String)
    expect(failure).toMatch(/data\/worker_manifests\.json: half of a surrogate pair .* at line 2 column 1$/)
  })

  test('files that must be there are not: each is named, with what to create', async () => {
    await using policies = await copyPolicies()
    await rm(join(policies.dir, 'data/blocked.json'))
    await rm(join(policies.dir, 'data/worker_manifests.json'))
    await writeFile(join(policies.dir, 'data/exceptions.json'), '{')
    const failure = await loadPolicyFiles(policies.dir, NOW_MS).catch((error: unknown) => error as PolicyFilesError)
    const { message, faults } = failure as PolicyFilesError
    expect(message.split('\n').sort()).toEqual([
      expect.stringMatching(/blocked\.json: no such file; .* create it with this content: \{"blocked":\{"identities":/),
      expect.stringMatching(/exceptions\.json: unexpected end at line 1 column 2$/),
      expect.stringMatching(
        /worker_manifests\.json: no such file; .* create it with this content: \{"workers":\{\}\}$/,
      ),
    ])
    expect(faults.map(({ file }) => file).sort()).toEqual(['blocked.json', 'exceptions.json', 'worker_manifests.json'])
  })

  test('it is not there', async () => {
    await expect(loadPolicyFiles('/nonexistent/policies', NOW_MS)).rejects.toThrow('/nonexistent/policies')
  })
})

describe('a data file that does not fit its schema is refused, with every place and reason:', () => {
  test.each([
    [
      'a manifest',
      'data/worker_manifests.json',
      { workers: { [A]: { ...MANIFEST, required_capabilities: ['stream:*'], ownr: 'x' } } },
      [`workers["${A}"].ownr is unknown`, `workers["${A}"].required_capabilities[0] must be verb:name, `],
    ],
    ['a mode', 'data/enforcement.json', { enforcement: { default: 'off' } }, ['enforcement.default must be one of ']],
    ['a block', 'data/blocked.json', { blocked: { identities: [A] } }, ['blocked.identities must be an object']],
    ['a limit', 'data/enforcement.json', { exception_limits: { max_days: 0 } }, ['exception_limits.max_days must be ']],
  ])('%s', async (_what, file, value, places) => {
    const failure = await load({ [file]: value }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(PolicyFilesError)
    const { message, faults } = failure as PolicyFilesError
    for (const place of places) expect(message).toContain(`${file}: ${place}`)
    expect(faults).toHaveLength(places.length)
  })

  test('the plan’s own manifest, without provided_capabilities, fits', async () => {
    const { provided_capabilities: _, ...plan } = { ...MANIFEST, owner: 'o', deployed_at: '2025-11-16T00:00:00Z' }
    const files = await load({ 'data/worker_manifests.json': { workers: { [A]: plan } } })
    expect([...files.knownCapabilities].sort()).toEqual(['a:b', 'c:d'])
  })
})

describe('exceptions', () => {
  const since = '"reason": "r", "owner": "o", "created_at": "2026-11-20T00:00:00Z"'
  const good = `{"capabilities": ["x:y", "a:b"], "expires_after": 1796169600000000001, ${since}}`

  test('that are in order hold beside a bad one, which is named', async () => {
    const files = await load({
      'data/exceptions.json': `{"${A}": ${good}, "${A}2": {"temporary_allow_all": true, "expires_after": "x", ${since}}}`,
    })
    expect(files.exceptions.map(({ name, expiresAfterNs }) => [name, expiresAfterNs])).toEqual([
      [`${A}#x:y`, 1796169600000000001n],
      [`${A}#a:b`, 1796169600000000001n],
    ])
    expect(files.dataFaults).toEqual([
      {
        file: 'exceptions.json',
        path: `["${A}2"].expires_after`,
        reason: 'must be Unix nanoseconds, a whole number without quotes',
      },
    ])
  })

  test('may last as long as exception_limits says', async () => {
    const files = await load({
      'data/exceptions.json': `{"${A}": ${good}}`,
      'data/enforcement.json': { exception_limits: { max_days: 7 } },
    })
    expect(files.exceptions).toEqual([])
    expect(files.dataFaults.map(({ reason }) => reason)).toEqual(['must be at most 7 days after created_at'])
  })
})
