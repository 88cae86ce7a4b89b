// Is a policy in force, and is it a sane one? Three questions with known answers: a call that the manifests declare, the
// same call by a stranger, and a stranger's registration.
import { splitCapability } from '../../core/capability.ts'
import type { Decision, PolicyEngine, PolicyInput, RegistrationInput } from '../../core/decision.ts'
import { toAppError, type ErrorCode } from '../../core/errors.ts'
import { uuidv7 } from '../../core/ids.ts'
import { trustDomainOf } from '../../core/spiffe-id.ts'
import type { PolicyFiles, Probe } from './policy-files.ts'

/** Why answers are not trusted. `reason` is public, `detail` is for the log. */
export type SelfCheckFault = { readonly code: ErrorCode; readonly reason: string; readonly detail?: string }

export type SelfCheckOptions = {
  readonly engine: PolicyEngine
  readonly files: PolicyFiles
  readonly now: () => number
}

/** A check that resolves to undefined when all is well, and never rejects. */
export function createSelfCheck({ engine, files, now }: SelfCheckOptions): () => Promise<SelfCheckFault | undefined> {
  const { sampleAllow, stranger } = files
  return async () => {
    try {
      const [sample, access, registration] = await Promise.all([
        // A manifest that declares nothing has no call to try.
        sampleAllow && engine.decide('capability_access', probeInput(sampleAllow, now())),
        engine.decide('capability_access', probeInput(stranger, now())),
        engine.decide('worker_registration', registrationInput(stranger, now())),
      ])
      return judge(sample, access, registration)
    } catch (cause: unknown) {
      const { code, cause: why } = toAppError(cause, 'policy_engine_error')
      const detail = String(why)
      if (code === 'policy_engine_unavailable') return { code, reason: 'the policy engine does not answer', detail }
      return { code: 'policy_not_ready', reason: 'the policy engine gives no valid decision', detail }
    }
  }
}

function judge(sample: Decision | undefined, ...strangers: Decision[]): SelfCheckFault | undefined {
  if (strangers.some(({ decision }) => decision === 'allow')) {
    return { code: 'policy_not_ready', reason: 'the policy allows a stranger' }
  }
  if (sample?.decision !== 'deny') return undefined
  const detail = sample.reasons.map(({ message }) => message).join('; ')
  return { code: 'policy_not_ready', reason: 'the policy denies what a manifest declares', detail }
}

function probeInput({ spiffeId, capability }: Probe, nowMs: number): PolicyInput {
  const { verb, name } = splitCapability(capability)
  return {
    identity: { spiffe_id: spiffeId, trust_domain: trustDomainOf(spiffeId) },
    action: { verb, capability: name },
    context: {
      timestamp: new Date(nowMs).toISOString(),
      now_ns: `${Math.trunc(nowMs)}000000`,
      source: 'controller',
      decision_id: uuidv7(nowMs),
      priority: 'normal',
    },
  }
}

function registrationInput(probe: Probe, nowMs: number): RegistrationInput {
  const resource = { worker_id: 'self-check', worker_url: 'https://localhost', capabilities: [probe.capability] }
  return { ...probeInput(probe, nowMs), resource }
}
