// GET /policy/exceptions on the admin listener: every exception with its expiry and its use, and the entries without effect.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { isoTime } from '../../core/iso-time.ts'
import { ExceptionsReply, type ExceptionReply } from '../../core/policy-exceptions.ts'
import type { DataFault } from '../../policy/data/data-schema.ts'
import type { ExceptionUse, ExceptionWatch } from '../exceptions/exception-watch.ts'

export type PolicyExceptionsOptions = {
  readonly exceptions: Pick<ExceptionWatch, 'list' | 'sinceMs'>
  readonly dataFaults: () => readonly DataFault[]
  /** Unix ms. */
  readonly now: () => number
}

export const policyExceptions: FastifyPluginCallbackTypebox<PolicyExceptionsOptions> = (app, options, done) => {
  const { exceptions, dataFaults, now } = options
  const config = { otel: false }
  app.get('/policy/exceptions', { schema: { response: { 200: ExceptionsReply } }, config }, () => ({
    counted_since: isoTime(exceptions.sinceMs),
    exceptions: exceptions.list().map((use) => describe(use, now())),
    faults: dataFaults().map((fault) => ({ ...fault })),
  }))
  done()
}

function describe({ entry, expiresMs, uses, lastUsedMs }: ExceptionUse, nowMs: number): ExceptionReply {
  const { id, name, spiffeId, capabilities, owner, reason, createdAt } = entry
  return {
    id,
    name,
    spiffe_id: spiffeId,
    capability: capabilities[0] ?? null,
    state: expiresMs > nowMs ? 'live' : 'expired',
    owner,
    reason,
    created_at: createdAt,
    expires_at: isoTime(expiresMs),
    expires_in_seconds: (expiresMs - nowMs) / 1000,
    uses,
    last_used_at: lastUsedMs === undefined ? null : isoTime(lastUsedMs),
  }
}
