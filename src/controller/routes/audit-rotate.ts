// On the admin listener: POST /audit/rotate. A JSON body is required, if only `{}`: a web page cannot send one to another origin
// without asking first.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { RotateBody, RotateReply } from '../../core/wire.ts'
import { createBodiesInFlight } from './bodies-in-flight.ts'
import { acceptJsonOnly } from './json-body.ts'

/** `rotate`: of all processes of this controller. */
export type AuditRotateOptions = { readonly rotate: () => Promise<RotateReply> }

const BODY_LIMIT_BYTES = 1024

export const auditRotate: FastifyPluginCallbackTypebox<AuditRotateOptions> = (app, { rotate }, done) => {
  acceptJsonOnly(app, { limitBytes: BODY_LIMIT_BYTES, bodies: createBodiesInFlight(), ownerOf: () => 'admin' })
  const schema = { body: RotateBody, response: { 200: RotateReply } }
  app.post('/audit/rotate', { config: { otel: false }, schema }, rotate)
  done()
}
