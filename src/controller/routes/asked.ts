// On the path of every call. The facts about a request that a decision needs, read in one place by every route that asks the
// policy.
import type { FastifyRequest } from 'fastify'
import type { Asker } from '../../policy/verdict.ts'

/** The verified caller, the ids and the span of a request. */
export function askedBy(request: FastifyRequest): Asker {
  const { arrival, peer, id: decisionId } = request
  arrival.span.setAttribute('crank.requester', peer.spiffeId)
  return {
    decisionId,
    caller: peer.spiffeId,
    span: arrival.span,
    trace: arrival.trace,
  }
}
