// POST /register, /heartbeat, /deregister: how workers become routable. The policy decides what a worker may provide.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import {
  DeregisterBody,
  DeregisterReply,
  HeartbeatBody,
  HeartbeatReply,
  Problem,
  RegisterBody,
  RegisterReply,
} from '../../core/wire.ts'
import type { Asker } from '../../policy/verdict.ts'
import type { LeaseClaim } from '../routing/registry.ts'
import { askedBy } from './asked.ts'
import type { BodiesInFlight } from './bodies-in-flight.ts'
import { acceptJsonOnly } from './json-body.ts'

export type RegistrationRoutesOptions = {
  readonly bodyLimitBytes: number
  readonly bodies: BodiesInFlight
  readonly register: (asker: Asker, body: RegisterBody) => Promise<RegisterReply>
  readonly heartbeat: (claim: LeaseClaim, load: number | undefined) => HeartbeatReply
  readonly deregister: (claim: LeaseClaim) => Promise<DeregisterReply>
}

const errors = { '4xx': Problem, '5xx': Problem }

export const registrationRoutes: FastifyPluginCallbackTypebox<RegistrationRoutesOptions> = (app, options, done) => {
  const { bodies, bodyLimitBytes: limitBytes } = options
  acceptJsonOnly(app, { limitBytes, bodies, ownerOf: ({ peer }) => peer.spiffeId })
  app.post('/register', { schema: { body: RegisterBody, response: { 200: RegisterReply, ...errors } } }, (request) =>
    options.register(askedBy(request), request.body),
  )
  app.post(
    '/heartbeat',
    {
      config: { otel: false, spanOfFailureOnly: true },
      schema: { body: HeartbeatBody, response: { 200: HeartbeatReply, ...errors } },
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- async, so that a throw becomes a rejection
    async (request) => options.heartbeat(claimOf(request, request.body), request.body.load),
  )
  app.post(
    '/deregister',
    { schema: { body: DeregisterBody, response: { 200: DeregisterReply, ...errors } } },
    (request) => options.deregister(claimOf(request, request.body)),
  )
  done()
}

/** The lease belongs to (SPIFFE ID, worker_id): the first comes from the certificate, never from the body. */
function claimOf(request: FastifyRequest, body: { worker_id: string; lease: string }): LeaseClaim {
  return { spiffeId: request.peer.spiffeId, workerId: body.worker_id, lease: body.lease }
}
