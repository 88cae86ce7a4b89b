// The file with the keys for chains of calls: what is accepted, and how it is followed.
import { chmod, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { watchChainKeys } from '../../../src/controller/chain/chain-key-watch.ts'
import { chainKeyFault, ensureChainKey, loadChainKeys } from '../../../src/controller/chain/chain-key.ts'
import { until } from '../../fixtures/until.ts'

let dir: string
let file: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-chain-'))
  file = join(dir, 'chain.key')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const key = (letter: string): string => letter.repeat(43)
const textOf = (keys: readonly { export: () => Buffer }[]): string[] => keys.map((it) => it.export().toString())

test('the first start makes a private file with one key; the next one keeps it', async () => {
  const made = join(dir, 'state/chain.key')
  await ensureChainKey(made)
  const text = await readFile(made, 'utf8')
  expect((await stat(made)).mode & 0o777).toBe(0o600)
  await ensureChainKey(made)
  expect(await readFile(made, 'utf8')).toBe(text)
  expect(await loadChainKeys(made)).toHaveLength(1)
})

test('one key per line, the first one first; empty lines do not count', async () => {
  await writeFile(file, `\n${key('b')}\r\n\n${key('a')}\n`, { mode: 0o600 })
  expect(textOf(await loadChainKeys(file))).toEqual([key('b'), key('a')])
})

test.each([
  ['no key', '\n\n', 'has no key; write one with: openssl rand -base64 32'],
  ['a short key', key('a').slice(1), 'the key in line 1 has 42 characters, not at least 43'],
  ['a short second key', `${key('a')}\nshort\n`, 'the key in line 2 has 5 characters'],
  ['words', `${key('a')} ${key('b')}`, 'line 1 is not one word of printable characters'],
  ['raw bytes', '\x00\xff'.repeat(40), 'line 1 is not one word of printable characters'],
  ['a long key', key('a').repeat(30), 'is longer than 1024 characters'],
  ['too many keys', `${key('a')}\n`.repeat(9), 'has 9 keys; at most 8 are allowed'],
  ['a large file', 'a\n'.repeat(10_000), 'is larger than 16384 bytes'],
])('a file with %s is refused with a sentence', async (_what, text, reason) => {
  await writeFile(file, text, { encoding: 'latin1', mode: 0o600 })
  const fault = chainKeyFault('CRANK_CHAIN_KEY', file, await loadChainKeys(file).catch((cause: unknown) => cause))
  expect(fault).toMatchObject({ faults: [expect.stringContaining(`CRANK_CHAIN_KEY=${file}: `)] })
  expect(fault.message).toContain(reason)
})

test('a file that every user can open is refused; one for a group is not', async () => {
  await writeFile(file, key('a'))
  await chmod(file, 0o644)
  await expect(loadChainKeys(file)).rejects.toThrow(`run chmod 600 ${file}`)
  await chmod(file, 0o640)
  expect(await loadChainKeys(file)).toHaveLength(1)
})

test('a missing file is named', () => {
  const cause = Object.assign(new Error('x'), { code: 'ENOENT' })
  expect(chainKeyFault('CRANK_CHAIN_KEY', file, cause).faults[0]).toContain('no such file; write one with')
})

test('a replaced file is followed; a broken one changes nothing and is reported once', async () => {
  const told: object[] = []
  const log = { info: (fields: object) => void told.push(fields), error: (fields: object) => void told.push(fields) }
  await writeFile(file, key('a'), { mode: 0o600 })
  const watch = await watchChainKeys(file, { log: log as never })
  try {
    await writeFile(`${file}.new`, `${key('b')}\n${key('a')}\n`, { mode: 0o600 })
    await rename(`${file}.new`, file)
    await until('the new keys are in use', () => Promise.resolve(watch.keys().length === 2))
    await writeFile(`${file}.new`, 'short', { mode: 0o600 })
    await rename(`${file}.new`, file)
    await until('the fault is reported', () => Promise.resolve(told.length === 2))
    expect(textOf(watch.keys())).toEqual([key('b'), key('a')])
    await rm(file)
    await until('the missing file is reported', () => Promise.resolve(told.length === 3))
    expect(told).toMatchObject([
      { event: 'chain_keys_changed', keys: 2 },
      { event: 'chain_keys_broken', reason: expect.stringContaining('line 1') as unknown },
      { event: 'chain_keys_broken', reason: expect.stringContaining('no such file') as unknown },
    ])
    await writeFile(`${file}.new`, key('c'), { mode: 0o600 })
    await rename(`${file}.new`, file)
    await until('the keys are followed again', () => Promise.resolve(textOf(watch.keys())[0] === key('c')))
  } finally {
    watch.close()
  }
})
