// What every worker passes before calls go to it, whether it registers or is remembered from before a restart: its URL is
// checked, the policy decides, the decision is recorded, and the probe must find it there.
import { makeCapability, type Capability } from '../../core/capability.ts'
import type { PolicyInput, RegistrationInput } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import type { CapabilitySchema, RegisterBody } from '../../core/wire.ts'
import type { HostRules } from '../../platform/host-rules.ts'
import { policyInput, type Judge } from '../../policy/judge.ts'
import type { Asker, RegistrationVerdict } from '../../policy/verdict.ts'
import type { Probe } from '../dispatch/probe.ts'
import type { Registration } from '../routing/registry.ts'
import { parseWorkerUrl } from '../routing/worker-url.ts'
import { afterRecord } from './recorded.ts'
import { refuseUnlessPassed } from './refuse.ts'

export type WorkerCheckDeps = {
  readonly judge: Judge
  readonly record: (asker: Asker, verdict: RegistrationVerdict) => Promise<void>
  readonly probe: Probe
  readonly workerHosts: HostRules
  readonly now: () => number
}

/** A worker that may be routed to now; `verdict` allowed it. */
export type CheckedWorker = { readonly registration: Registration; readonly verdict: RegistrationVerdict }
/** @throws {AppError} `request_invalid`, `registration_denied`, `worker_failed`, `overloaded`, or the policy's error */
export type WorkerCheck = (asker: Asker, body: RegisterBody) => Promise<CheckedWorker>

export function createWorkerCheck(deps: WorkerCheckDeps): WorkerCheck {
  return async (asker, body) => {
    const { worker_id: workerId, labels = {}, weight = 1 } = body
    const origin = parseWorkerUrl(body.worker_url, deps.workerHosts)
    const capabilities = capabilitiesOf(body)
    const input = registrationInput(asker, body, capabilities, deps.now())
    const verdict = await deps.judge('worker_registration', asker, input)
    await deps.record(asker, verdict)
    await afterRecord(async () => {
      refuseUnlessPassed(verdict, 'registration_denied')
      await deps.probe({ spiffeId: asker.caller, origin, workerId, decisionId: asker.decisionId })
    })
    const offered = { capabilities, labels: new Map(Object.entries(labels)), weight }
    return { registration: { spiffeId: asker.caller, workerId, origin, ...offered }, verdict }
  }
}

function registrationInput(
  asker: Asker,
  { worker_id, worker_url }: RegisterBody,
  capabilities: ReadonlyMap<Capability, CapabilitySchema>,
  nowMs: number,
): RegistrationInput {
  const input: PolicyInput = policyInput(asker, { verb: 'register', name: 'worker', priority: 'normal' }, nowMs)
  return { ...input, resource: { worker_id, worker_url, capabilities: [...capabilities.keys()] } }
}

/** Each answer of GET /capabilities contains the schemas: a large one would make every answer large. */
const MAX_SCHEMA_BYTES = 64 * 1024

function capabilitiesOf({ capabilities }: RegisterBody): Map<Capability, CapabilitySchema> {
  for (const schema of capabilities) {
    const bytes = Buffer.byteLength(JSON.stringify(schema))
    if (bytes <= MAX_SCHEMA_BYTES) continue
    const name = makeCapability(schema.verb, schema.name)
    throw new AppError(
      'request_invalid',
      `the schema of ${name} has ${bytes} bytes; at most ${MAX_SCHEMA_BYTES} are allowed`,
    )
  }
  const byName = new Map(capabilities.map((schema) => [makeCapability(schema.verb, schema.name), schema]))
  if (byName.size < capabilities.length) throw new AppError('request_invalid', 'duplicate capability in the list')
  return byName
}
