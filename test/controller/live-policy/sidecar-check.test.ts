// Which revision is reported, by what a sidecar says it has; the sidecar is a list of answers here.
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import type { InForce } from '../../../src/policy/engine/engine-kind.ts'
import type { LoadedByOpa } from '../../../src/policy/engine/opa-loaded.ts'
import type { PolicyDelta } from '../../../src/controller/live-policy/policy-delta.ts'
import type { PolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { createSidecarCheck } from '../../../src/controller/live-policy/sidecar-check.ts'
import { createTransition } from '../../../src/controller/live-policy/transition.ts'

function setUp({ isFaulty = false, rollback = 'refuse' }: { isFaulty?: boolean; rollback?: 'refuse' | 'allow' } = {}) {
  const clock = { ms: 1_790_000_000_000 }
  const recorded: string[] = []
  const faults: string[] = []
  const events: string[] = []
  const confirmed: (number | undefined)[] = []
  const state = {
    loaded: { kind: 'unknown', reason: 'no answer yet' } as LoadedByOpa,
    isWritable: true,
    lacksBatches: false,
    polls: 0,
    whileAsking: () => Promise.resolve(),
  }
  const note = (fields: object): void => void events.push((fields as { event: string }).event)
  const log = { info: note, warn: note, error: note }
  const now = (): number => clock.ms
  const initial = { files: { revision: 'folder' } as PolicyFiles, revision: 'folder' } as InForce
  const transition = createTransition({
    initial,
    async record({ previous, next }) {
      if (!state.isWritable) throw new AppError('audit_unavailable')
      recorded.push(`${previous?.revision ?? 'nothing'} > ${next.revision}`)
      await turnOfTheLoop()
    },
    log,
    now,
  })
  const check = createSidecarCheck({
    async loaded() {
      const { loaded } = state
      await state.whileAsking()
      return loaded
    },
    lacksBatches: () => state.lacksBatches,
    transition,
    freshness: {
      confirm: (atMs) => confirmed.push(atMs),
      lastSuccessMs: now,
      isStale: () => false,
      watch: () => undefined,
    },
    watch: {
      poll: () => {
        state.polls += 1
        return Promise.resolve()
      },
      isFaulty: () => isFaulty,
      cause: () => (isFaulty ? new Error('a bad file') : undefined),
    },
    onFault: ({ message }) => faults.push(message),
    timeoutMs: 100,
    bundleRollback: rollback,
    log,
    now,
    monotonic: now,
  })
  const look = (loaded: LoadedByOpa): Promise<unknown> => {
    state.loaded = loaded
    return check.check(() => Promise.resolve(undefined))
  }
  return { ...check, look, transition, state, clock, recorded, faults, events, confirmed }
}

const bundle = (revision: string): LoadedByOpa => ({ kind: 'bundle', revision, polledAtMs: 5, fault: undefined })
const ours: LoadedByOpa = { kind: 'files', isOurs: true, isDataOurs: true, name: 'abc', difference: undefined }
const others: LoadedByOpa = { kind: 'files', isOurs: false, isDataOurs: true, name: 'abc', difference: 'Rego' }

test('many decisions of a new revision make one record', async () => {
  const { noteBundle, recorded, transition } = setUp()
  await Promise.all(Array.from({ length: 50 }, () => noteBundle('one')))
  expect([recorded, transition.current().revision]).toEqual([['nothing > one'], 'one'])
})

test('a late answer of the revision before changes nothing; later it is a change back, where that is allowed', async () => {
  const { noteBundle, recorded, clock, events } = setUp({ rollback: 'allow' })
  await noteBundle('one')
  await noteBundle('two')
  await noteBundle('one')
  expect(recorded).toEqual(['nothing > one', 'one > two'])
  clock.ms += 5000
  await noteBundle('one')
  expect(recorded.at(-1)).toBe('two > one')
  expect(events.filter((event) => event === 'policy_changed')).toHaveLength(3)
})

test('a bundle that was replaced before does not decide, until another one comes', async () => {
  const { noteBundle, look, recorded, clock, faults, notes, transition } = setUp()
  await look(bundle('one'))
  await look(bundle('two'))
  clock.ms += 5000
  await expect(noteBundle('one')).rejects.toMatchObject({ code: 'policy_not_ready' })
  const fault = { code: 'policy_not_ready', reason: 'OPA has returned to a bundle that was replaced before' }
  expect(await look(bundle('one'))).toEqual(fault)
  expect(await look(bundle('one'))).toEqual(fault)
  expect(faults).toEqual([
    expect.stringMatching(/^OPA has returned to the bundle one, .* CRANK_POLICY_BUNDLE_ROLLBACK=allow$/),
  ])
  expect(notes().map(({ cause }) => cause)).toEqual(['opa_bundle'])
  expect(transition.current().revision).toBe('two')
  expect(await look(bundle('three'))).toBeUndefined()
  expect([recorded, notes()]).toEqual([['nothing > one', 'one > two', 'two > three'], []])
  await noteBundle('three')
})

test('a decision of a revision that cannot be recorded is not given out', async () => {
  const { noteBundle, transition, state, recorded } = setUp()
  state.isWritable = false
  await expect(noteBundle('one')).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(transition.current().revision).toBe('folder')
  state.isWritable = true
  await noteBundle('one')
  expect(recorded).toEqual(['nothing > one'])
})

test('a bundle is fresh by its last poll', async () => {
  const { look, confirmed } = setUp()
  await look(bundle('one'))
  expect(confirmed).toEqual([5])
})

test('other files than ours are looked up in the folder once more, then named and reported once', async () => {
  const { look, transition, state, recorded, faults, confirmed } = setUp()
  await look(others)
  await look(others)
  expect([state.polls, faults]).toEqual([2, ['OPA has different Rego than the policy folder']])
  expect([transition.current().revision, confirmed]).toEqual(['opa-abc', []])
  await look(ours)
  expect(recorded).toEqual(['folder > opa-abc', 'opa-abc > folder'])
  expect(confirmed).toHaveLength(1)
})

for (const [name, answer] of Object.entries({ 'has our files': ours, 'has others': others })) {
  test(`an answer that a sidecar ${name} says nothing about a set that came into force meanwhile`, async () => {
    const { look, transition, state, recorded } = setUp()
    const changed = { files: [] } as unknown as PolicyDelta
    let sets = 0
    state.whileAsking = () => {
      // Not awaited: its record is still being written when the answer is there.
      const revision = `set-${++sets}`
      void transition.move(() => ({ next: { files: { revision }, revision } as InForce, changed }))
      return Promise.resolve()
    }
    await look(answer)
    await transition.move(() => undefined)
    expect(transition.current().revision).toBe(`set-${sets}`)
    expect(recorded.at(-1)).toBe(`${sets === 1 ? 'folder' : 'set-1'} > set-${sets}`)
  })
}

test('our last good files are no confirmation while the folder holds others', async () => {
  const { look, confirmed } = setUp({ isFaulty: true })
  await look(ours)
  expect(confirmed).toEqual([])
})

test('a sidecar that does not say what it has is logged once, and taken as it is', async () => {
  const { look, events, transition } = setUp()
  await look({ kind: 'unknown', reason: 'HTTP 401' })
  await look({ kind: 'unknown', reason: 'HTTP 401' })
  expect([events, transition.current().revision]).toEqual([['policy_unverified'], 'folder'])
})

test('a failed self-check looks at the folder before it counts: OPA may be ahead of us', async () => {
  const { check, state } = setUp()
  const faults = [
    { code: 'policy_not_ready' as const, reason: 'the policy denies a call that a manifest declares' },
    undefined,
  ]
  expect(await check(() => Promise.resolve(faults.shift()))).toBeUndefined()
  expect(state.polls).toBe(1)
})

test('an OPA without batches is told once, and its return once', async () => {
  const { look, state, events } = setUp()
  state.lacksBatches = true
  for (let n = 0; n < 3; n++) await look(ours)
  state.lacksBatches = false
  for (let n = 0; n < 3; n++) await look(ours)
  expect(events.filter((event) => event.startsWith('policy_batches'))).toEqual([
    'policy_batches_missing',
    'policy_batches_found',
  ])
})
