// What `crank manifest` says of definitions that cannot be read: the file, what happened, and what to do.
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { importDefinitions } from '../../src/cli/manifest/import-definitions.ts'
import { formatFault } from '../../src/cli/manifest/fault.ts'
import { crank } from '../cli/in-process.ts'
import { HEAD, worker, writePackage } from './worker-package.ts'

const A = `export const a = ${worker('a', 'a:a')}\n`
const TARGET = join(tmpdir(), `crank-written-${process.pid}`)

/** The faults of these sources, without the folder before their names. */
async function faultsOf(sources: Readonly<Record<string, string>>, timeoutMs?: number): Promise<string[]> {
  const files = Object.entries(sources).map(([name, text]) => [`workers/${name}`, HEAD + text])
  await using own = await writePackage(Object.fromEntries(files))
  const { faults } = await importDefinitions(own.workers, timeoutMs)
  return faults.map((fault) => formatFault(fault).replaceAll(`${own.workers}/`, ''))
}

type Case = readonly [what: string, code: string, reason: string]

/** These leave the process as it was: all are imported by one. */
const REFUSED: readonly Case[] = [
  ['throws', `throw new TypeError('no model\\nand more')`, '3:7: throws while it is imported: TypeError: no model'],
  ['throws no error', `throw 'no model'`, 'throws while it is imported: no model'],
  ['has a wrong definition', `export const b = ${worker('b', 'b:B')}`, ':1:'],
  ['is not TypeScript', `const = 1`, '3: cannot be imported: '],
  [
    'has code that cannot be stripped',
    `enum B { C }`,
    '3: cannot be imported: TypeScript enum is not supported in strip-only mode',
  ],
  ['imports a package that is not there', `import 'not-there'`, `cannot be imported: Cannot find package 'not-there'`],
  [
    'writes',
    `import fs from 'node:fs'; fs.writeFileSync('${TARGET}', '')`,
    `3:30: writes ${TARGET} while it is imported; do it on first use`,
  ],
  [
    'writes with a promise',
    `import fs from 'node:fs/promises'; await fs.writeFile('${TARGET}', '')`,
    `writes ${TARGET} while it is imported`,
  ],
  [
    'hides what it was refused',
    `import fs from 'node:fs'; try { fs.mkdirSync('${TARGET}') } catch (cause) { throw new Error('no folder', { cause }) }`,
    `writes ${TARGET} while`,
  ],
  [
    'reads outside of its package',
    `import fs from 'node:fs'; fs.readFileSync('/etc/hosts')`,
    '3:30: reads /etc/hosts while it is imported; only its package and node_modules may be read',
  ],
  [
    'starts a process',
    `import { spawnSync } from 'node:child_process'; spawnSync('ls')`,
    '3:49: starts the process ls while it is imported',
  ],
  [
    'starts a thread',
    `import { Worker } from 'node:worker_threads'; new Worker('1', { eval: true })`,
    '3:47: starts a worker thread while it is imported',
  ],
  ['loads an addon', `import 'sharp'`, 'loads the native addon of @img/sharp-'],
]

describe('a definition is named with its file if it', () => {
  let faults: string[]
  beforeAll(async () => {
    faults = await faultsOf(Object.fromEntries(REFUSED.map(([, code], at) => [`bad${at}.ts`, `\n${code}\n${A}`])))
  })

  test.each(REFUSED.map(([what, , reason], at) => ({ what, reason, file: `bad${at}.ts:` })))(
    '$what',
    ({ reason, file }) => {
      const found = faults.filter((fault) => fault.startsWith(file))
      expect(found).toEqual([expect.stringContaining(reason)])
      expect(existsSync(TARGET)).toBe(false)
    },
  )

  const ending: readonly Case[] = [
    [
      'throws later',
      `setTimeout(() => { throw new Error('late') }, 1); await new Promise(() => setTimeout(() => {}, 9e3))`,
      '3:26: throws while it is imported: late',
    ],
    [
      'rejects',
      `void Promise.reject(new Error('alone')); await new Promise(() => setTimeout(() => {}, 9e3))`,
      '3:21: throws while it is imported: alone',
    ],
    ['exits', `process.exit(0)`, 'ends the process while it is imported (exit code 0)'],
    [
      'exits with a message',
      `console.error('bad'); process.exit(3)`,
      'ends the process while it is imported (exit code 3): bad;',
    ],
    [
      'waits for nothing',
      `await new Promise(() => {})`,
      'its import never ends: an await at the top level is never settled',
    ],
  ]
  test.each(ending)('%s', async (_what, code, reason) => {
    const found = await faultsOf({ 'a.ts': A, 'bad.ts': `\n${code}\n${A}` })
    expect(found).toEqual([expect.stringContaining(reason)])
    expect(found[0]).toMatch(/^bad\.ts:/)
  })
})

test.each([
  ['in a loop', 'for (;;) {}'],
  ['with a timer', 'await new Promise(() => setInterval(() => {}, 10))'],
])('a definition that hangs %s is given up', async (_what, code) => {
  const faults = await faultsOf({ 'a.ts': A, 'bad.ts': `${code}\n${worker('b', 'b:b')}` }, 2_000)
  expect(faults).toEqual(['bad.ts: its import has not ended after 2 s; do slow work on first use'])
})

test.each([
  ['made and not exported', `const b = ${worker('b', 'b:b')}`, 'bad.ts:2:11: defines worker-b, but does not export it'],
  [
    'made by a function that nobody calls',
    `export const make = () => ${worker('b', 'b:b')}`,
    'bad.ts:2: exports no definition of a worker: export it',
  ],
  [
    'another one with the same id',
    `export const b = ${worker('a', 'b:b')}`,
    'bad.ts:2:18: worker-a is also defined at a.ts:2:18',
  ],
])('a definition that is %s is named with its place', async (_what, code, reason) => {
  const faults = await faultsOf({ 'a.ts': A, 'bad.ts': code })
  expect(faults).toHaveLength(1)
  expect(faults[0]).toContain(reason)
})

test('each file that fails is named, and the others are read', async () => {
  const faults = await faultsOf({ 'a.ts': `throw 1\n${A}`, 'b.ts': `throw 2\n${A}`, 'c.ts': A })
  expect(faults.map((fault) => fault.slice(0, 4))).toEqual(['a.ts', 'b.ts'])
})

test('definitions are found as values, in lists, in the registry, and in JavaScript', async () => {
  await using own = await writePackage({
    'workers/value.ts': `${HEAD}export default ${worker('value', 'a:a', ['z:z'])}`,
    'workers/list.js': `${HEAD}export const all = [${worker('one', 'b:b')}, ${worker('two', 'c:c')}]`,
    'workers/deep/made.ts': `${HEAD}export const make = ({ stateDir }) => ({ ...${worker('made', 'd:d')}, stateDir })`,
    'workers/registry.ts': `import { make } from './deep/made.ts'
      export const workerNames = ['made']
      export const workerNamed = (name) => async (place) => make(place)`,
    'workers/idle.ts': 'process.exit(1)',
    'workers/value.test.ts': 'defineWorker(',
  })
  const { workers, faults } = await importDefinitions(own.workers)
  expect(faults).toEqual([])
  expect(workers.map(({ id, required }) => [id, required])).toEqual([
    ['worker-made', ['d:d']],
    ['worker-one', ['b:b']],
    ['worker-two', ['c:c']],
    ['worker-value', ['a:a', 'z:z']],
  ])
})

test('a worker of the registry that fails is named with its name', async () => {
  const registry = `export const workerNames = ['a', 'b', 'c']
    export const workerNamed = (name) => ({ a: () => { throw new Error('no') }, b: () => 5 })[name]`
  const faults = await faultsOf({ 'registry.ts': registry })
  expect(faults).toEqual([
    'registry.ts: b: throws while it is imported: is not a definition: return what defineWorker returns',
    'registry.ts: c: throws while it is imported: is not a definition: return what defineWorker returns',
    expect.stringMatching(/^registry\.ts:3:\d+: a: throws while it is imported: no$/),
  ])
})

test('what a definition prints is not part of the answer, and it sees no environment', async () => {
  const code = `console.log('{', process.env); if (Object.keys(process.env).length > 0) throw new Error('not empty')\n${A}`
  await using own = await writePackage({ 'workers/a.ts': HEAD + code })
  const manifest = join(own.dir, 'manifest.json')
  const args = ['manifest', 'verify', '--workers', own.workers, '--manifest', manifest, '-o', 'json']
  const { code: exit, stdout } = await crank(args, { env: { SECRET: 'x' } })
  expect(exit).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({ faults: [], workers: [{ worker_id: 'worker-a' }] })
})

test('one file may be given; then it must export a definition', async () => {
  await using own = await writePackage({ 'my.ts': HEAD + A, 'other.ts': 'export const x = 1' })
  const good = await importDefinitions(join(own.dir, 'my.ts'))
  expect([good.faults, good.workers.map(({ place }) => place)]).toEqual([[], [`${own.dir}/my.ts:2:18`]])
  const { faults } = await importDefinitions(join(own.dir, 'other.ts'))
  expect(faults.map(formatFault)).toEqual([`${own.dir}/other.ts:1: exports no definition of a worker: export it`])
})
