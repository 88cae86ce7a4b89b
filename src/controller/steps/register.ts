// The whole sequence of a registration: check the URL, decide, record, probe the worker, and only then make it routable.
import { makeCapability, type Capability } from '../../core/capability.ts'
import type { PolicyInput, RegistrationInput } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import type { CapabilitySchema, RegisterBody, RegisterReply } from '../../core/wire.ts'
import type { HostRules } from '../../platform/host-rules.ts'
import type { Asker, RegistrationVerdict } from '../../policy/verdict.ts'
import type { Probe } from '../dispatch/probe.ts'
import type { Registry } from '../routing/registry.ts'
import { parseWorkerUrl } from '../routing/worker-url.ts'
import { policyInput, type Judge } from '../../policy/judge.ts'
import { afterRecord } from './recorded.ts'
import { refuseUnlessPassed } from './refuse.ts'

type RegisterDeps = {
  readonly judge: Judge
  readonly record: (asker: Asker, verdict: RegistrationVerdict) => Promise<void>
  readonly probe: Probe
  readonly registry: Registry
  /** Called when the worker is routable; `verdict` allowed it. */
  readonly onRegistered: (verdict: RegistrationVerdict) => void
  readonly workerHosts: HostRules
  readonly heartbeatIntervalMs: number
  readonly now: () => number
}

/** Registers the caller as a worker. @throws {AppError} `request_invalid`, `registration_denied`, `worker_failed`, `overloaded`, or the policy's error */
export function createRegister(deps: RegisterDeps): (asker: Asker, body: RegisterBody) => Promise<RegisterReply> {
  return async (asker, body) => {
    const origin = parseWorkerUrl(body.worker_url, deps.workerHosts)
    const capabilities = capabilitiesOf(body)
    const verdict = await deps.judge(
      'worker_registration',
      asker,
      registrationInput(asker, body, capabilities, deps.now()),
    )
    await deps.record(asker, verdict)
    const lease = await afterRecord(async () => {
      refuseUnlessPassed(verdict, 'registration_denied')
      await deps.probe({ spiffeId: asker.caller, origin, decisionId: asker.decisionId })
      const { worker_id: workerId, labels = {}, weight = 1 } = body
      const offered = { capabilities, labels: new Map(Object.entries(labels)), weight }
      return deps.registry.register({ spiffeId: asker.caller, workerId, origin, ...offered }).lease
    })
    deps.onRegistered(verdict)
    return {
      status: 'registered',
      worker_id: body.worker_id,
      capabilities_registered: capabilities.size,
      lease,
      heartbeat_interval_ms: deps.heartbeatIntervalMs,
    }
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
