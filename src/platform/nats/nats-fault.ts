// What NATS refuses, in sentences that say what to do.
import { errors } from '@nats-io/transport-node'

/** JetStream's refusal of a message. `code`: its `err_code`. */
export class StreamRefusal extends Error {
  override readonly name = 'StreamRefusal'
  readonly code: number

  constructor(code: number, description: string) {
    super(`${description} (JetStream error ${code})`)
    this.code = code
  }
}

/** A sentence for whatever the client throws. */
export function natsFault(thrown: unknown): string {
  const cause = innermost(thrown)
  if (cause instanceof errors.PermissionViolationError) {
    const what = `this identity may not ${cause.operation} ${cause.subject}`
    return `NATS: ${what}; give it the permissions that docs/operations/audit.md lists`
  }
  if (cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError) {
    return 'NATS does not know this identity; add its SPIFFE ID to the users of the NATS servers'
  }
  if (cause instanceof errors.TimeoutError) return 'NATS did not answer in time'
  if (cause instanceof errors.NoRespondersError) {
    return 'JetStream does not answer: it is off, or its cluster has no leader now'
  }
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** What the client wraps. */
function innermost(cause: unknown): unknown {
  return cause instanceof Error && cause.cause instanceof Error ? innermost(cause.cause) : cause
}

/** The fault of a bucket or stream that cannot be made, with the cure if it is about replicas. */
export function withCureForReplicas(cause: unknown, replicas: number): unknown {
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (!/no suitable peers|replicas > 1 not supported|insufficient resources/i.test(reason)) return cause
  const cure = 'set CRANK_NATS_REPLICAS to a number of servers that the NATS cluster has'
  return new Error(`${reason} (${replicas} replicas); ${cure}`, { cause })
}
