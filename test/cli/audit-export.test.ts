// `crank audit export`, as a user runs it.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { verifyAudit } from '../../src/audit/verify.ts'
import { compress, makeChain, type MadeChain } from '../fixtures/audit-segments.ts'
import { AUDIT_EVENTS } from '../observability/audit-events.ts'
import { crank } from './in-process.ts'

const at = (second: number, decisionId = `d-${second}`) => ({
  ...AUDIT_EVENTS.policy_decision,
  timestamp: new Date(Date.UTC(2026, 10, 1, 0, 0, second)).toISOString(),
  decision_id: decisionId,
})

/** Two slots, one of them with a compressed segment; their records take turns. */
async function twoSlots(): Promise<{ dir: string; first: MadeChain; second: MadeChain }> {
  const first = await makeChain(0)
  const second = await makeChain(1, first.auditDir)
  await first.add(at(1), at(3))
  const old = first.file
  await first.rotate()
  await compress(old)
  await first.add(at(5))
  await second.add(at(2), at(4))
  return { dir: first.auditDir, first, second }
}

async function temporary(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'crank-export-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

const idsIn = (stdout: string): string[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { decision_id?: string; event: string })
    .map((it) => it.decision_id ?? it.event)

describe('records', () => {
  test('of all slots come by time, unchanged', async () => {
    const { dir, first, second } = await twoSlots()
    const { code, stdout, stderr } = await crank(['audit', 'export', '--audit-dir', dir])
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('6 records as jsonl') as string })
    const lines = stdout.trimEnd().split('\n')
    expect(lines.toSorted()).toEqual([...first.lines, ...second.lines].toSorted())
    expect(idsIn(stdout).filter((id) => id.startsWith('d-'))).toEqual(['d-1', 'd-2', 'd-3', 'd-4', 'd-5'])
  })

  test('of one slot are a chain that verifies', async () => {
    const { first } = await twoSlots()
    const out = join(await temporary(), 'copy.jsonl')
    await crank(['audit', 'export', '--audit-file', first.file, '--out', out])
    expect(await verifyAudit(out)).toMatchObject({ ok: true, records: 2 })
  })

  test('from --since on and before --until', async () => {
    const { dir } = await twoSlots()
    const window = ['--since', '2026-11-01T00:00:02Z', '--until', '2026-11-01T00:00:04Z']
    const { stdout } = await crank(['audit', 'export', '--audit-dir', dir, ...window])
    expect(idsIn(stdout)).toEqual(['d-2', 'd-3'])
  })

  test('none is no failure; a header is still there', async () => {
    const { dir } = await twoSlots()
    const { code, stdout } = await crank([
      'audit',
      'export',
      '--audit-dir',
      dir,
      '--since',
      '2030-01-01',
      '--format',
      'csv',
    ])
    expect({ code, lines: stdout.split('\r\n').length }).toEqual({ code: 0, lines: 2 })
  })

  test.each(['ecs', 'ocsf', 'csv'])('as %s: one line for each', async (format) => {
    const { dir } = await twoSlots()
    const { code, stdout } = await crank(['audit', 'export', '--audit-dir', dir, '--format', format])
    expect({ code, lines: stdout.trimEnd().split(/\r?\n/).length }).toEqual({
      code: 0,
      lines: format === 'csv' ? 7 : 6,
    })
  })
})

describe('--out', () => {
  test('writes a file of 0600 and says what is in it', async () => {
    const { dir } = await twoSlots()
    const out = join(await temporary(), 'all.csv')
    const { code, stdout } = await crank([
      'audit',
      'export',
      '--audit-dir',
      dir,
      '--format',
      'csv',
      '--out',
      out,
      '-o',
      'json',
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      format: 'csv',
      file: out,
      records: 6,
      first: '2026-11-01T00:00:01.000Z',
      pseudonymised: false,
    })
    expect((await stat(out)).mode & 0o777).toBe(0o600)
  })

  test('leaves the old file, and nothing else, when the export fails', async () => {
    const { dir, second } = await twoSlots()
    const folder = await temporary()
    const out = join(folder, 'all.jsonl')
    await writeFile(out, 'old')
    await rm(second.file)
    await mkdir(second.file)
    await symlink(second.file, `${second.file}.zst`)
    const { code } = await crank(['audit', 'export', '--audit-dir', dir, '--out', out])
    expect(code).not.toBe(0)
    expect(await readdir(folder)).toEqual(['all.jsonl'])
    expect(await readFile(out, 'utf8')).toBe('old')
  })

  test('names a folder that is not there', async () => {
    const { dir } = await twoSlots()
    const { code, stderr } = await crank(['audit', 'export', '--audit-dir', dir, '--out', '/nowhere/x'])
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot write /nowhere/x: ENOENT') as string,
    })
  })
})

describe('--pseudonymise', () => {
  test('replaces identities; the key is not in the output', async () => {
    const { dir } = await twoSlots()
    const key = join(await temporary(), 'key')
    await writeFile(key, 'sixteen bytes or more\n')
    const { code, stdout } = await crank(['audit', 'export', '--audit-dir', dir, '--pseudonymise', key])
    expect(code).toBe(0)
    expect(stdout).not.toMatch(/worker\/streaming|sixteen|"hash"/)
    expect(stdout).toContain('spiffe://crank.local/pseudonym/')
  })

  test('refuses a key that is short or not there', async () => {
    const { dir } = await twoSlots()
    const key = join(await temporary(), 'key')
    const run = () => crank(['audit', 'export', '--audit-dir', dir, '--pseudonymise', key])
    expect(await run()).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('ENOENT') as string })
    await writeFile(key, 'short')
    expect(await run()).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('fewer than 16 bytes') as string,
    })
  })
})

test.each([
  ['--since', 'yesterday'],
  ['--until', 'later'],
])('%s %s is refused by its name', async (option, value) => {
  const { dir } = await twoSlots()
  const { code, stderr } = await crank(['audit', 'export', '--audit-dir', dir, option, value])
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(`${option} "${value}"`) as string })
})

test('an end before the beginning is refused', async () => {
  const { dir } = await twoSlots()
  expect(await crank(['audit', 'export', '--audit-dir', dir, '--since', '1h', '--until', '2h'])).toMatchObject({
    code: 2,
  })
})
