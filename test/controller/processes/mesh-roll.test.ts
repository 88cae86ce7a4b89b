// The clocks of controllers differ: the later registration counts, whatever the clock of its controller says.
import { expect, test } from 'vitest'
import { inOrder, overMesh } from '../../../src/controller/processes/mesh-roll.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'
import type { RollChange } from '../../../src/controller/routing/roll.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const spiffeId = parseSpiffeId('spiffe://crank.local/worker/hello-world')
const registeredAt = '2026-11-30T10:00:00.000Z'
const change = {
  kind: 'registered',
  registration: { spiffeId, workerId: 'w' } as never,
  tenure: { leaseHash: hashOfLease('x'), registeredAt },
  body: { worker_id: 'w', worker_url: 'https://127.0.0.1:1', capabilities: [] },
} satisfies RollChange

test.each([
  ['nothing is known of it', undefined, registeredAt],
  ['an earlier one is known', '2026-11-30T09:00:00.000Z', registeredAt],
  ['one of the same moment is known', registeredAt, '2026-11-30T10:00:00.001Z'],
  ['one of a clock that is ahead is known', '2026-11-30T11:00:00.000Z', '2026-11-30T11:00:00.001Z'],
])('when %s, a registration is the latest', (_what, known, expected) => {
  expect(inOrder(change, { registeredAt: () => known })).toEqual({
    ...change,
    tenure: { ...change.tenure, registeredAt: expected },
  })
})

test('here and elsewhere it has the same time', async () => {
  const [here, elsewhere]: RollChange[][] = [[], []]
  const roll = { share: (one: RollChange) => Promise.resolve(here!.push(one) > 0), beat: () => undefined }
  const mesh = {
    changed: (one: RollChange) => Promise.resolve(void elsewhere!.push(one)),
    beat: () => undefined,
    registeredAt: () => '2026-11-30T11:00:00.000Z',
  }
  await overMesh(roll, mesh).share(change)
  expect(here).toMatchObject([{ tenure: { registeredAt: '2026-11-30T11:00:00.001Z' } }])
  expect(elsewhere).toEqual(here)
})

test('without a mesh, and for any other change, nothing is changed', () => {
  expect(inOrder(change, undefined)).toBe(change)
  const left = { kind: 'left', holder: { spiffeId, workerId: 'w', leaseHash: hashOfLease('x') } } satisfies RollChange
  expect(inOrder(left, { registeredAt: () => '2026-11-30T11:00:00.000Z' })).toBe(left)
})
