// The watch of the policy folder by itself; whether a set can come into force is decided by the test.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { signatureOf } from '../../../src/controller/live-policy/policy-folder.ts'
import { watchPolicyFolder, type PolicyWatch } from '../../../src/controller/live-policy/policy-watch.ts'
import { blockedJson, replaceFile } from '../../fixtures/live-policy.ts'
import { copyPolicies, type PolicyDir } from '../../fixtures/policy-dir.ts'

// It looks only when it is asked to, reports faults at once, and tries nothing again by itself.
const LIMITS = { netMs: 3_600_000, againMs: 3_600_000, events: false, settleMs: 0, faultMs: 0, retryMs: 3_600_000 }

let policies: PolicyDir
let watch: PolicyWatch
const told: string[] = []
const state = { isUsable: false, tries: 0 }
beforeEach(async () => {
  policies = await copyPolicies()
  told.length = 0
  Object.assign(state, { isUsable: false, tries: 0 })
  watch = watchPolicyFolder({
    dir: policies.dir,
    seen: await signatureOf(policies.dir),
    adopt() {
      state.tries += 1
      return state.isUsable ? Promise.resolve() : Promise.reject(new Error('not yet'))
    },
    onConfirmed: () => told.push('confirmed'),
    onFault: ({ message }) => told.push(message),
    onMended: () => told.push('mended'),
    onStuck: () => Promise.resolve(),
    now: Date.now,
    limits: LIMITS,
  })
})
afterEach(async () => {
  watch.close()
  await policies[Symbol.asyncDispose]()
})

test('who asks for a look gets one, also while a set that was refused waits to be tried again', async () => {
  await replaceFile(policies.dir, 'data/blocked.json', blockedJson('spiffe://crank.local/worker/x'))
  await watch.poll()
  expect([told, watch.isFaulty()]).toEqual([['not yet'], true])
  state.isUsable = true
  await watch.poll()
  expect([told, watch.isFaulty()]).toEqual([['not yet', 'mended', 'confirmed'], false])
  expect(state.tries).toBe(2)
})
