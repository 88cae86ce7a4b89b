// The three requests of a registration, each with a time limit and a strictly parsed answer.
import type { DeregisterBody, HeartbeatBody, HeartbeatReply, RegisterBody } from '../core/wire.ts'
import { RegisterReply } from '../core/wire.ts'
import { NO_TLS_HINT, speaksNoTls } from '../platform/tls/no-tls.ts'
import type { ControllerClient, ControllerReply } from './controller-client.ts'
import type { Preference } from './controllers/endpoints.ts'
import { createSchemaCheck, type SchemaCheck } from './schema-check.ts'

/**
 * `denied`: the policy denied it. `refused`: the request is invalid. `unavailable`: no answer, or a fault of the
 * controller.
 */
export type Refusal = { readonly kind: 'denied' | 'refused' | 'unavailable'; readonly reason: string }
/** `controller`: the name of the one that answered. */
type Registered = {
  readonly kind: 'registered'
  readonly lease: string
  readonly intervalMs: number
  readonly controller: string
}
/** `isAway`: that controller has lost its mesh, and the others do not hear of this heartbeat. */
type Acknowledged = { readonly kind: 'acknowledged'; readonly controller: string; readonly isAway: boolean }
type RegisterOutcome = Registered | Refusal
type HeartbeatOutcome = Acknowledged | { readonly kind: 'lost' } | Refusal

type Client = Pick<ControllerClient, 'post'>

// The controller probes the worker before it answers a registration.
const REGISTER_TIMEOUT_MS = 15_000
const HEARTBEAT_TIMEOUT_MS = 5_000
const DEREGISTER_TIMEOUT_MS = 2_000

let checkReply: SchemaCheck | undefined

/** Which controllers to ask first and last, and what ends the wait. */
type Asking = Preference & { readonly signal: AbortSignal }

/** Never rejects. */
export async function register(client: Client, body: RegisterBody, asking: Asking): Promise<RegisterOutcome> {
  const reply = await ask(client, '/register', body, within(REGISTER_TIMEOUT_MS, asking))
  if ('kind' in reply) return reply
  if (reply.status !== 200) return toRefusal(reply)
  checkReply ??= createSchemaCheck(RegisterReply, 'reply')
  const fault = checkReply(reply.body)
  if (fault !== undefined) return { kind: 'unavailable', reason: `not a registration reply: ${fault}` }
  const { lease, heartbeat_interval_ms: intervalMs } = reply.body as RegisterReply
  return { kind: 'registered', lease, intervalMs, controller: reply.controller.name }
}

/** Never rejects. 404: unknown worker, 403: another worker has the lease; both mean that this lease is lost. */
export async function heartbeat(client: Client, body: HeartbeatBody, asking: Asking): Promise<HeartbeatOutcome> {
  const reply = await ask(client, '/heartbeat', body, within(HEARTBEAT_TIMEOUT_MS, asking))
  if ('kind' in reply) return reply
  if (reply.status === 200) {
    const { mesh } = (reply.body ?? {}) as Partial<HeartbeatReply>
    return { kind: 'acknowledged', controller: reply.controller.name, isAway: mesh === 'away' }
  }
  return reply.status === 404 || reply.status === 403 ? { kind: 'lost' } : toRefusal(reply)
}

/** Never rejects: a controller that has gone needs no deregistration. */
export async function deregister(client: Client, body: DeregisterBody, preference: Preference): Promise<void> {
  await ask(client, '/deregister', body, { ...preference, signal: AbortSignal.timeout(DEREGISTER_TIMEOUT_MS) })
}

async function ask(client: Client, path: string, body: unknown, asking: Asking): Promise<ControllerReply | Refusal> {
  try {
    return await client.post(path, body, asking)
  } catch (error: unknown) {
    if (speaksNoTls(error)) return { kind: 'unavailable', reason: `CONTROLLER_URL answers without TLS: ${NO_TLS_HINT}` }
    return { kind: 'unavailable', reason: error instanceof Error ? error.message : String(error) }
  }
}

function within(timeoutMs: number, { signal, ...preference }: Asking): Asking {
  return { ...preference, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) }
}

function toRefusal({ status, body }: ControllerReply): Refusal {
  const { error, reason } = (body ?? {}) as Record<string, unknown>
  const text = typeof reason === 'string' ? reason : `status ${status}`
  // The second code: the identity is blocked from everything.
  if (error === 'registration_denied' || error === 'capability_access_denied') return { kind: 'denied', reason: text }
  // 401, 408, 429 and 5xx are transient or end with a new certificate; an operator must fix the other 4xx.
  const passing = status >= 500 || [401, 408, 429].includes(status)
  return { kind: passing ? 'unavailable' : 'refused', reason: typeof error === 'string' ? `${error}: ${text}` : text }
}
