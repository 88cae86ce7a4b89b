// `crank exception` on a copy of the policy folder, as a user runs it.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, resolveConfig } from 'prettier'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadPolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { startMesh } from '../../fixtures/mesh.ts'
import { copyPolicies, POLICY_DIR, type PolicyDir } from '../../fixtures/policy-dir.ts'
import { writeAuditFile } from '../audit-file.ts'
import type { Finished } from '../crank.ts'
import { crank } from '../in-process.ts'
import { slotOf } from '../../fixtures/audit-log.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const LEGACY = 'spiffe://crank.local/worker/legacy-service'
const NOWHERE = 'http://127.0.0.1:1'
const WHY = ['--reason', 'until ZET-7 is done', '--owner', 'team-a']

let policies: PolicyDir
beforeEach(async () => {
  policies = await copyPolicies()
})
afterEach(() => policies[Symbol.asyncDispose]())

const path = (): string => join(policies.dir, 'data/exceptions.json')
const text = (): Promise<string> => readFile(path(), 'utf8')
const exception = (...args: string[]): Promise<Finished> =>
  crank(['exception', ...args], {
    env: { CRANK_POLICY_DIR: policies.dir, CRANK_ADMIN_URL: NOWHERE, CRANK_STATE_DIR: policies.dir },
  })
const grant = (...args: string[]): Promise<Finished> =>
  exception('grant', '--who', 'streaming', '--for', '14d', ...WHY, ...args)
const load = () => loadPolicyFiles(policies.dir, Date.now())
type Listed = { exceptions: Record<string, unknown>[] }
const listed = async (): Promise<Listed['exceptions']> =>
  (JSON.parse((await exception('list', '-o', 'json')).stdout) as Listed).exceptions

describe('grant', () => {
  test('adds an entry that holds for as long as was said, shows it, and leaves the others to the digit', async () => {
    const before = await text()
    const { code, stdout, stderr } = await grant('--cap', 'store:zettel', '--cap', 'convert:pdf_to_text')
    expect(code).toBe(0)
    expect(stdout).toContain('+     "capabilities": ["convert:pdf_to_text", "store:zettel"],')
    expect(stdout).not.toMatch(/^- (?! })/m)
    expect(stderr).toContain('commit it')
    const after = await text()
    expect(after.startsWith(before.slice(0, before.lastIndexOf('}\n}')))).toBe(true)
    expect(after).toContain('1767139200000000000')
    expect(await check(after, { ...(await resolveConfig(join(POLICY_DIR, 'x.json'))), parser: 'json' })).toBe(true)
    const { exceptions, dataFaults } = await load()
    expect(dataFaults).toEqual([])
    const [entry] = exceptions.filter(({ name }) => name === `${STREAMING}#store:zettel`)
    expect(entry).toMatchObject({ owner: 'team-a', reason: 'until ZET-7 is done' })
    const lastsMs = Number(entry!.expiresAfterNs / 1_000_000n) - Date.parse(entry!.createdAt)
    expect(lastsMs).toBe(14 * 86_400_000)
  })

  test('for everything warns, and so does what no manifest knows', async () => {
    const all = await exception('grant', '--who', 'nobody', '--all', '--for', '12h', ...WHY)
    expect(all.code).toBe(0)
    expect(all.stderr).toContain('--all allows every call')
    expect(all.stderr).toContain('spiffe://crank.local/worker/nobody has no manifest')
    const unknown = await grant('--cap', 'no:such_thing')
    expect(unknown.code).toBe(0)
    expect(unknown.stderr).toContain('no manifest names no:such_thing')
    expect((await load()).exceptions.map(({ name }) => name)).toContain('spiffe://crank.local/worker/nobody#*')
  })

  test('may last exactly 90 days', async () => {
    const longest = await exception('grant', '--who', 'streaming', '--cap', 'a:b', '--for', '90d', ...WHY)
    expect(longest.code).toBe(0)
    expect((await load()).dataFaults).toEqual([])
  })

  test('takes the longest lifetime from the policy data', async () => {
    await writeFile(join(policies.dir, 'data/enforcement.json'), '{"exception_limits": {"max_days": 7}}')
    const { code, stderr } = await grant('--cap', 'store:zettel')
    expect(code).toBe(2)
    expect(stderr).toContain('--for "14d": an exception may last 7 days at most')
  })

  test('with --dry-run, and with -o json, writes the answer where it belongs', async () => {
    const before = await text()
    const { code, stdout, stderr } = await grant('--cap', 'store:zettel', '--dry-run', '-o', 'json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      written: false,
      exceptions: [{ name: `${STREAMING}#store:zettel`, id: expect.stringMatching(/^[0-9a-f]{8}$/) }],
    })
    expect(stderr).toContain('+     "capabilities": ["store:zettel"],')
    expect(await text()).toBe(before)
  })

  test('does not replace a live exception unless --replace is given', async () => {
    await grant('--cap', 'store:zettel')
    const before = await text()
    const refused = await grant('--cap', 'convert:pdf_to_text')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(`already has a live exception (${STREAMING}#store:zettel)`)
    expect(await text()).toBe(before)
    const replaced = await grant('--cap', 'convert:pdf_to_text', '--replace')
    expect(replaced.code).toBe(0)
    expect(replaced.stdout).toMatch(/^- .*store:zettel/m)
    expect((await load()).exceptions.map(({ name }) => name)).toEqual([
      `${LEGACY}#*`,
      `${STREAMING}#convert:pdf_to_text`,
    ])
  })

  test('replaces one that is over without --replace', async () => {
    expect((await exception('grant', '--who', LEGACY, '--cap', 'store:zettel', '--for', '1d', ...WHY)).code).toBe(0)
    expect((await load()).exceptions.map(({ name }) => name)).toEqual([`${LEGACY}#store:zettel`])
  })

  test('does not take a file that is gone for an empty one: it says what to create, and leaves nothing else behind', async () => {
    await rm(path())
    const refused = await grant('--cap', 'store:zettel')
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain(`${path()}: no such file; put it back or, if there are no exceptions, create it`)
    await writeFile(path(), '{}')
    expect((await grant('--cap', 'store:zettel')).code).toBe(0)
    expect((await load()).exceptions).toHaveLength(1)
    expect((await readdir(join(policies.dir, 'data'))).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test.each([
    ['neither --cap nor --all', ['--who', 'streaming', '--for', '1d', ...WHY], 'give the capabilities to allow'],
    ['both', ['--who', 'streaming', '--for', '1d', '--all', '--cap', 'a:b', ...WHY], 'give the capabilities to allow'],
    ['no --for', ['--who', 'streaming', '--all', ...WHY], '--for'],
    ['no --reason', ['--who', 'streaming', '--all', '--for', '1d', '--owner', 'o'], '--reason'],
    ['an empty --reason', ['--who', 'x', '--all', '--for', '1d', '--owner', 'o', '--reason', ''], '--reason: must not'],
    ['no --owner', ['--who', 'streaming', '--all', '--for', '1d', '--reason', 'r'], '--owner'],
    ['no SPIFFE ID', ['--who', 'spiffe://A/b', '--all', '--for', '1d', ...WHY], 'neither a worker nor a SPIFFE ID'],
    ['a pattern', ['--who', 'streaming', '--cap', 'a:*', '--for', '1d', ...WHY], '--cap "a:*"'],
    ['91 days', ['--who', 'streaming', '--all', '--for', '91d', ...WHY], 'may last 90 days at most'],
    ['no duration', ['--who', 'streaming', '--all', '--for', 'ever', ...WHY], '--for "ever": must be a duration'],
    ['half a second', ['--who', 'streaming', '--all', '--for', '500ms', ...WHY], 'at least 1s'],
    ['no policy folder', ['--who', 'a', '--all', '--for', '1d', '--policy', '/nowhere', ...WHY], '/nowhere'],
  ])('with %s ends with 2 and writes nothing', async (_what, args, words) => {
    const before = await text()
    const { code, stderr } = await exception('grant', ...args)
    expect(code).toBe(2)
    expect(stderr).toContain(words)
    expect(await text()).toBe(before)
  })

  test('refuses a file that is not JSON, naming the place', async () => {
    await writeFile(path(), '{\n "a": 1,\n "a": 2 }')
    const { code, stderr } = await grant('--cap', 'store:zettel')
    expect(code).toBe(2)
    expect(stderr).toContain('exceptions.json: duplicate key "a" at line 3 column 2')
  })

  test('leaves a malformed entry of another as it is', async () => {
    await writeFile(path(), `{ "${LEGACY}": {"expires_after":   "soon"} }\n`)
    expect((await grant('--cap', 'store:zettel')).code).toBe(0)
    expect(await text()).toContain(`"${LEGACY}": {"expires_after":   "soon"}`)
  })
})

describe('revoke', () => {
  test('takes the entry out and shows it', async () => {
    const before = await text()
    await grant('--cap', 'store:zettel')
    const { code, stdout } = await exception('revoke', '--who', STREAMING)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^- .*store:zettel/m)
    expect(await text()).toBe(before)
  })

  test('takes one capability out, and the entry with the last', async () => {
    await grant('--cap', 'store:zettel', '--cap', 'convert:pdf_to_text')
    const [, expiry] = /"expires_after": (\d{19}),\n {4}"reason": "until/.exec(await text())!
    expect((await exception('revoke', '--who', 'streaming', '--cap', 'store:zettel')).code).toBe(0)
    expect(await text()).toContain(`"expires_after": ${expiry!}`)
    expect((await load()).exceptions.map(({ name }) => name)).toContain(`${STREAMING}#convert:pdf_to_text`)
    expect((await exception('revoke', '--who', 'streaming', '--cap', 'convert:pdf_to_text')).code).toBe(0)
    expect(await text()).not.toContain(STREAMING)
  })

  test('takes a malformed entry out too', async () => {
    await writeFile(path(), `{"${LEGACY}": 5}`)
    expect((await exception('revoke', '--who', LEGACY)).code).toBe(0)
    expect(await text()).toBe('{}')
  })

  test.each([
    ['somebody without an exception', ['--who', 'hello_world'], 'has no exception in'],
    ['a capability that is not named', ['--who', LEGACY, '--cap', 'a:b'], 'names no capabilities'],
  ])('of %s ends with 1', async (_what, args, words) => {
    const { code, stderr } = await exception('revoke', ...args)
    expect(code).toBe(1)
    expect(stderr).toContain(words)
  })
})

describe('list', () => {
  test('shows state, time left and who answers, without a controller', async () => {
    await grant('--cap', 'store:zettel')
    const { code, stdout, stderr } = await exception('list')
    expect(code).toBe(0)
    expect(stderr).toContain('uses are unknown')
    expect(stdout).toMatch(/^STATE +WHO +CAPABILITY +LEFT +USES +LAST USED +OWNER +ID +REASON$/m)
    expect(stdout).toMatch(/^expired +\S+legacy-service +\* +- +- /m)
    expect(stdout).toMatch(/^live +\S+streaming +store:zettel +1[34]\.\d days +- +- +team-a +[0-9a-f]{8} +until ZET-7/m)
    expect(await listed()).toMatchObject([
      { spiffe_id: LEGACY, state: 'expired', capability: null, days_left: 0, uses: null },
      { spiffe_id: STREAMING, state: 'live', capability: 'store:zettel', owner: 'team-a' },
    ])
  })

  test('names what is malformed, and ends with 1', async () => {
    await writeFile(path(), `{"${LEGACY}": {"temporary_allow_all": true, "expires_after": "2099-01-01"}}`)
    const { code, stdout } = await exception('list', '-o', 'json')
    expect(code).toBe(1)
    expect((JSON.parse(stdout) as Listed).exceptions).toMatchObject([
      {
        spiffe_id: LEGACY,
        state: 'invalid',
        reason: expect.stringContaining('expires_after must be Unix nanoseconds'),
      },
    ])
  })

  test('says that there is none', async () => {
    await writeFile(path(), '{}')
    const { code, stdout, stderr } = await exception('list')
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toContain('no exceptions')
  })

  test('shows the uses that the controller has counted, and what is not used', async () => {
    await grant('--cap', 'store:zettel', '--cap', 'convert:pdf_to_text')
    const mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
    await mesh.route('worker/streaming', { verb: 'store', capability: 'zettel' })
    const args = ['list', '--admin-url', mesh.adminOrigin]
    const { stdout } = await exception(...args)
    await mesh.close()
    expect(stdout).toMatch(/store:zettel +1[34]\.\d days +1 +20\d\d-/)
    expect(stdout).toMatch(/convert:pdf_to_text +1[34]\.\d days +unused +-/)
  })

  test('shows the uses of the audit log when the controller that counted them is gone', async () => {
    await grant('--cap', 'store:zettel', '--cap', 'convert:pdf_to_text')
    const use = async (): Promise<string> => {
      const env = { CRANK_POLICY_DIR: policies.dir, CRANK_STATE_DIR: policies.dir }
      const mesh = await startMesh({ env })
      await mesh.route('worker/streaming', { verb: 'store', capability: 'zettel' })
      const { stdout } = await exception('list', '--admin-url', mesh.adminOrigin)
      await mesh.close()
      return stdout
    }
    expect(await use()).toMatch(/store:zettel +1[34]\.\d days +1 +20\d\d-/)
    expect(await use()).toMatch(/store:zettel +1[34]\.\d days +2 +20\d\d-/)
    const { stdout, stderr } = await exception('list')
    expect(stdout).toMatch(/store:zettel +1[34]\.\d days +2 +20\d\d-/)
    expect(stdout).toMatch(/convert:pdf_to_text +1[34]\.\d days +unused +-/)
    expect(stderr).toContain(`uses in ${slotOf(policies.dir, 0)} since 20`)
  })

  test('counts no use of an earlier exception of the same name', async () => {
    await grant('--cap', 'store:zettel')
    const made = { who: 'streaming', capability: 'store:zettel', exception: `${STREAMING}#store:zettel` }
    await writeAuditFile(join(slotOf(policies.dir, 0), '1.jsonl'), [{ ...made, daysAgo: 2 }])
    expect((await listed()).at(-1)).toMatchObject({ spiffe_id: STREAMING, uses: 0, last_used_at: null })
  })

  test.each([
    ['2h', /store:zettel +(?:2\.0|1\.9) hours /],
    ['1d', /store:zettel +(?:24\.0|23\.9) hours /],
    ['30m', /store:zettel +2\d min /],
  ])('shows what is left of %s', async (duration, left) => {
    await exception('grant', '--who', 'streaming', '--cap', 'store:zettel', '--for', duration, ...WHY)
    expect((await exception('list')).stdout).toMatch(left)
  })
})
