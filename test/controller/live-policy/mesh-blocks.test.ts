// Blocks of the mesh beside those of the folder: what is in force when, and what is recorded.
import { afterEach, expect, test } from 'vitest'
import { createMeshBlocks, type BlockChange, type MeshBlocks } from '../../../src/controller/live-policy/mesh-blocks.ts'
import type { BlockEntry, KnownBlocks } from '../../../src/policy/data/block-entry.ts'
import type { PolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { until } from '../../fixtures/until.ts'

const by = parseSpiffeId('spiffe://crank.local/operator/ada')
const word = (name: string, isBlocked = true, reason = 'INC-12'): BlockEntry => ({
  section: 'capabilities',
  ...{ name, isBlocked, by, reason },
  at: '2026-12-01T00:00:00.000Z',
})
const none = { identities: new Set<string>(), capabilities: new Set<string>(), certificates: new Set<string>() }

const opened: MeshBlocks[] = []
afterEach(() => opened.splice(0).forEach(({ close }) => close()))

function start(entries: readonly BlockEntry[] | undefined, record?: (change: BlockChange) => Promise<void>) {
  let known: KnownBlocks = { entries, isCurrent: entries !== undefined }
  let tell: () => void = () => undefined
  const recorded: string[] = []
  const errors: string[] = []
  const log = {
    info: () => undefined,
    warn: () => undefined,
    error: (fields: object) => void errors.push(JSON.stringify(fields)),
  }
  const blocks = createMeshBlocks({
    source: {
      known: () => known,
      onChange(listener) {
        tell = listener
        return () => undefined
      },
    },
    record:
      record ??
      (({ sign, entry }) => {
        recorded.push(`${sign}${entry.name} ${entry.reason}`)
        return Promise.resolve()
      }),
    log,
  })
  opened.push(blocks)
  return {
    blocks,
    recorded,
    errors,
    now: () => [...blocks.blocked().capabilities].sort(),
    say: (next: readonly BlockEntry[] | undefined, isCurrent = true): void => {
      known = { entries: next, isCurrent }
      tell()
    },
  }
}

test('what is known at the start is in force without a record; changes are recorded with their word', async () => {
  const { say, now, recorded } = start([word('a:a')])
  expect(now()).toEqual(['a:a'])
  say([word('a:a', true, 'INC-13'), word('b:b')])
  expect(now()).toEqual(['a:a', 'b:b'])
  await until('both are recorded', () => recorded.length === 2)
  say([word('a:a', false, 'over'), word('b:b'), word('c:c', false)])
  await until('the lift is recorded', () => recorded.length === 3)
  // A name that was lifted before anybody here knew of its block is no change.
  expect(recorded).toEqual(['~a:a INC-13', '+b:b INC-12', '-a:a over'])
  expect(now()).toEqual(['b:b'])
})

test('while nothing can be recorded a block is in force at once, and a lifted one stays; both are recorded later', async () => {
  let isBroken = true
  const made: string[] = []
  const { say, now, errors } = start([word('a:a')], ({ sign, entry }) => {
    if (isBroken) return Promise.reject(new Error('no space'))
    made.push(`${sign}${entry.name}`)
    return Promise.resolve()
  })
  say([word('a:a', false), word('b:b')])
  expect(now()).toEqual(['a:a', 'b:b'])
  await until('it is reported', () => errors.length === 1)
  say([word('a:a', false), word('b:b'), word('c:c')])
  expect(now()).toEqual(['a:a', 'b:b', 'c:c'])
  isBroken = false
  await until('it is lifted', () => !now().includes('a:a'))
  expect(made.sort()).toEqual(['+b:b', '+c:c', '-a:a'])
  expect(errors).toHaveLength(1)
})

test('a listener hears of each change with what was in force before, and of nothing else', async () => {
  const { blocks, say, recorded } = start([])
  const before: string[][] = []
  blocks.onChange(({ capabilities }) => before.push([...capabilities]))
  say([word('a:a')])
  say([word('a:a')], false)
  await until('it is recorded', () => recorded.length === 1)
  say([word('a:a', true, 'another reason')])
  await until('that is recorded, too', () => recorded.length === 2)
  say([word('a:a', false)])
  await until('it is lifted', () => before.length === 2)
  expect(before).toEqual([[], ['a:a']])
})

test('a list that was never known is an obstacle, an old one a note, and without a mesh there is neither', () => {
  const { blocks, say } = start(undefined)
  expect(blocks.obstacle()).toContain('the block list of the mesh is not known')
  say([], false)
  expect(blocks.obstacle()).toBeUndefined()
  expect(blocks.notes()).toMatchObject([{ cause: 'mesh_blocks' }])
  say([])
  expect(blocks.notes()).toEqual([])
  const alone = createMeshBlocks({
    source: undefined,
    record: () => Promise.resolve(),
    log: { info, warn: info, error: info },
  })
  expect([alone.obstacle(), alone.notes()]).toEqual([undefined, []])
})

test('the files of the folder get the blocks of the mesh among theirs, made once for each change', () => {
  const { blocks, say } = start([])
  const files = { blocked: { ...none, capabilities: new Set(['f:f']) } } as unknown as PolicyFiles
  expect(blocks.over(files)).toBe(files)
  say([word('m:m')])
  const united = blocks.over(files)
  expect([...united.blocked.capabilities].sort()).toEqual(['f:f', 'm:m'])
  expect(blocks.over(files)).toBe(united)
  expect(blocks.over({ ...files })).not.toBe(united)
})

function info(): void {
  // Nothing is looked at.
}
