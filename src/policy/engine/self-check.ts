// Checks that a policy is in force and behaves correctly, by questions with known answers: a call that the manifests
// declare, the same call by a stranger, a stranger's registration and, if the block list has entries, a blocked call. The
// calls are asked alone and, of an engine that can, in one batch.
import { isoTime } from '../../core/iso-time.ts'
import { parseCapability, splitCapability } from '../../core/capability.ts'
import type { Decision, PolicyEngine, PolicyInput, RegistrationInput } from '../../core/decision.ts'
import { toAppError, type ErrorCode } from '../../core/errors.ts'
import { uuidv7 } from '../../core/ids.ts'
import { parseSpiffeId, trustDomainOf } from '../../core/spiffe-id.ts'
import type { Blocked } from '../data/blocked.ts'
import type { PolicyFiles, Probe } from '../data/policy-files.ts'

/** Why the policy's answers are not trusted. `reason` is public, `detail` is for the log. */
export type SelfCheckFault = { readonly code: ErrorCode; readonly reason: string; readonly detail?: string }

type SelfCheckOptions = {
  readonly engine: PolicyEngine
  readonly files: PolicyFiles
  readonly now: () => number
  /** Which entries of the block list may be used as a probe; default: all. */
  readonly isProbeable?: (entry: string) => boolean
}

/** A call that must be refused, and the reason code that the answer must include. */
type BlockedProbe = Probe & { readonly code: 'identity_blocked' | 'capability_blocked' }

/** A check that resolves to undefined when there is no fault, and never rejects. */
export function createSelfCheck(options: SelfCheckOptions): () => Promise<SelfCheckFault | undefined> {
  const { engine, files, now, isProbeable = () => true } = options
  const { stranger } = files
  const sampleAllow = sampleOf(files)
  return async () => {
    const probe = blockedProbe(files, isProbeable)
    const alone = (inputs: readonly PolicyInput[]): Promise<Decision[]> =>
      Promise.all(inputs.map((input) => engine.decide('capability_access', input)))
    const ways = engine.decideTogether === undefined ? [alone] : [alone, engine.decideTogether]
    try {
      const [registration, ...answers] = await Promise.all([
        engine.decide('worker_registration', registrationInput(stranger, now())),
        ...ways.map((way) => askCalls(way, { stranger, sampleAllow, probe }, now)),
      ])
      const faults = answers.map(({ access, sample, blocked }) => {
        return judgeBlocked(probe, blocked) ?? judge(sample, access, registration)
      })
      return faults.find((fault) => fault !== undefined)
    } catch (cause: unknown) {
      const { code, cause: why } = toAppError(cause, 'policy_engine_error')
      const detail = String(why)
      if (code === 'policy_engine_unavailable') return { code, reason: 'the policy engine does not respond', detail }
      return { code: 'policy_not_ready', reason: 'the policy engine gives no valid decision', detail }
    }
  }
}

type Calls = {
  readonly stranger: Probe
  // Without a declared call, or with an empty block list, that question is left out.
  readonly sampleAllow: Probe | undefined
  readonly probe: Probe | undefined
}

async function askCalls(
  way: (inputs: readonly PolicyInput[]) => Promise<Decision[]>,
  { stranger, sampleAllow, probe }: Calls,
  now: () => number,
): Promise<{ access: Decision | undefined; sample: Decision | undefined; blocked: Decision | undefined }> {
  const asked = [stranger, sampleAllow, probe].filter((one) => one !== undefined)
  const decisions = await way(asked.map((one) => probeInput(one, now())))
  const answerTo = (one: Probe | undefined): Decision | undefined => one && decisions[asked.indexOf(one)]
  return { access: answerTo(stranger), sample: answerTo(sampleAllow), blocked: answerTo(probe) }
}

/** Undefined if the sample is blocked by now: the block list may be newer than the engine's data. */
function sampleOf({ sampleAllow, blocked }: PolicyFiles): Probe | undefined {
  if (sampleAllow === undefined) return undefined
  const { spiffeId, capability } = sampleAllow
  return blocked.identities.has(spiffeId) || blocked.capabilities.has(capability) ? undefined : sampleAllow
}

/** An entry that is blocked both in the engine's data and in the controller's own list. */
function blockedProbe(files: PolicyFiles, isProbeable: (entry: string) => boolean): BlockedProbe | undefined {
  const { blocked, blockedInData, sampleAllow, stranger } = files
  const shared = (section: keyof Blocked): string | undefined =>
    [...blocked[section]].find((entry) => blockedInData[section].has(entry) && isProbeable(entry))
  const usual = sampleAllow ?? stranger
  const identity = shared('identities')
  if (identity !== undefined) return { ...usual, spiffeId: parseSpiffeId(identity), code: 'identity_blocked' }
  const capability = shared('capabilities')
  if (capability === undefined) return undefined
  return { ...usual, capability: parseCapability(capability), code: 'capability_blocked' }
}

function judgeBlocked(probe: BlockedProbe | undefined, decision: Decision | undefined): SelfCheckFault | undefined {
  if (probe === undefined || decision?.reasons.some(({ code }) => code === probe.code) === true) return undefined
  const detail = `${probe.spiffeId} ${probe.capability}: ${probe.code} is not among the reasons`
  return { code: 'policy_not_ready', reason: 'the policy does not enforce the block list', detail }
}

function judge(sample: Decision | undefined, ...strangers: (Decision | undefined)[]): SelfCheckFault | undefined {
  if (strangers.some((given) => given?.decision !== 'deny')) {
    return { code: 'policy_not_ready', reason: 'the policy allows an unknown caller' }
  }
  if (sample?.decision !== 'deny') return undefined
  const detail = sample.reasons.map(({ message }) => message).join('; ')
  return { code: 'policy_not_ready', reason: 'the policy denies a call that a manifest declares', detail }
}

function probeInput({ spiffeId, capability }: Probe, nowMs: number): PolicyInput {
  const { verb, name } = splitCapability(capability)
  return {
    identity: { spiffe_id: spiffeId, trust_domain: trustDomainOf(spiffeId) },
    action: { verb, capability: name },
    context: {
      timestamp: isoTime(nowMs),
      now_ns: `${Math.trunc(nowMs)}000000`,
      source: 'controller',
      decision_id: uuidv7(nowMs),
      priority: 'normal',
      origin: spiffeId,
      depth: 0,
    },
  }
}

function registrationInput(probe: Probe, nowMs: number): RegistrationInput {
  const resource = { worker_id: 'self-check', worker_url: 'https://localhost', capabilities: [probe.capability] }
  return { ...probeInput(probe, nowMs), resource }
}
