// Who is routed to after a change of policy: the registry is real, the policy answers what the test says.
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { unshared } from '../../../src/controller/processes/siblings.ts'
import { createAwaited } from '../../../src/controller/routing/awaited.ts'
import { Registry } from '../../../src/controller/routing/registry.ts'
import { createRoll } from '../../../src/controller/routing/roll.ts'
import { registerIn } from '../../fixtures/registered.ts'
import { createReconsider } from '../../../src/controller/steps/reconsider.ts'
import type { Decide, Decision, RegistrationInput } from '../../../src/core/decision.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { createLogger } from '../../../src/platform/logger.ts'

const COMMON = { mode: 'enforce', exception: null, policyVersion: '1', revision: 'r2' } as const
const ALLOW: Decision = { ...COMMON, decision: 'allow', grounds: ['declared'], reasons: [] }
const deny = (code: string): Decision => ({
  ...COMMON,
  decision: 'deny',
  grounds: [],
  reasons: [{ code, message: '' }],
})

function setUp(
  answer: (workerId: string) => Promise<Decision>,
  { isWritable = true, fault }: { isWritable?: boolean; fault?: (id: string) => AppError | undefined } = {},
) {
  const registry = new Registry({
    processId: '',
    heartbeatIntervalMs: 100,
    monotonic: () => 0,
    onGone: () => undefined,
  })
  const asked: RegistrationInput[] = []
  const decide: Decide = (question, input) => {
    expect(question).toBe('worker_registration')
    asked.push(input as RegistrationInput)
    return answer((input as RegistrationInput).resource.worker_id)
  }
  const { share } = unshared(createRoll({ registry, awaited: createAwaited([]), hint: undefined }))
  const events: AuditEvent[] = []
  const reconsider = createReconsider({
    decide,
    revision: () => 'r2',
    registry,
    share(change) {
      const found = 'holder' in change ? fault?.(change.holder.workerId) : undefined
      return found === undefined ? share(change) : Promise.reject(found)
    },
    append(event) {
      events.push(event)
      return isWritable ? Promise.resolve() : Promise.reject(new AppError('audit_unavailable'))
    },
    log: createLogger({ level: 'silent', service: 'test' }),
    now: Date.now,
  })
  const register = (workerId: string) =>
    registerIn(registry, {
      workerId,
      spiffeId: parseSpiffeId(`spiffe://crank.local/worker/${workerId}`),
      origin: 'https://127.0.0.1:8443',
      capabilities: new Map(),
    })
  const left = (): string[] => registry.list().map(({ workerId }) => workerId)
  return { register, reconsider, asked, events, left }
}

describe('a worker', () => {
  test.each([
    'identity_blocked',
    'worker_unknown',
    'worker_id_mismatch',
    'provided_capabilities_missing',
    'capability_not_provided',
  ])('whose registration is denied as %s is taken out, and that is recorded', async (code) => {
    const { register, reconsider, events, left } = setUp((id) => Promise.resolve(id === 'bad' ? deny(code) : ALLOW))
    register('good')
    register('bad')
    await reconsider()
    expect(left()).toEqual(['good'])
    expect(events).toMatchObject([
      { event: 'worker_evicted', worker_id: 'bad', reasons: [{ code }], policy_revision: 'r2' },
    ])
  })

  test.each(['capability_blocked', 'policy_data_malformed', 'input_malformed'])(
    'whose registration is denied as %s stays: that is decided call by call',
    async (code) => {
      const { register, reconsider, left } = setUp(() => Promise.resolve(deny(code)))
      register('one')
      await reconsider()
      expect(left()).toEqual(['one'])
    },
  )

  test('stays when the policy gives no answer', async () => {
    const { register, reconsider, left } = setUp(() => Promise.reject(new AppError('policy_engine_unavailable')))
    register('one')
    await reconsider()
    expect(left()).toEqual(['one'])
  })

  test('is taken out though that cannot be recorded', async () => {
    const { register, reconsider, left } = setUp(() => Promise.resolve(deny('identity_blocked')), { isWritable: false })
    register('one')
    await reconsider()
    expect(left()).toEqual([])
  })
})

test('the end of the parent keeps nobody from looking at the other workers', async () => {
  const fault = (id: string): AppError | undefined => (id === 'a' ? new AppError('shutting_down') : undefined)
  const { register, reconsider, events, left } = setUp(() => Promise.resolve(deny('identity_blocked')), { fault })
  register('a')
  register('b')
  await reconsider()
  expect(left()).toEqual(['a'])
  expect(events).toMatchObject([{ event: 'worker_evicted', worker_id: 'b' }])
})

test('is asked about as it registered, and everybody is looked at', async () => {
  const { register, reconsider, asked } = setUp(() => Promise.resolve(ALLOW))
  for (let n = 0; n < 120; n++) register(`w${n}`)
  await reconsider()
  expect(asked).toHaveLength(120)
  expect(asked[7]).toMatchObject({
    identity: { spiffe_id: 'spiffe://crank.local/worker/w7', trust_domain: 'crank.local' },
    resource: { worker_id: 'w7', worker_url: 'https://127.0.0.1:8443', capabilities: [] },
  })
})
