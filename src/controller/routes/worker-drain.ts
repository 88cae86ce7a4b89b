// On the admin listener: POST /workers/{id}/drain and /undrain. A JSON body is required, if only `{}`: a web page cannot send one
// to another origin without asking first.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { DrainBody, DrainParams, DrainReply } from '../../core/wire.ts'
import type { DrainWorker } from '../steps/drain-worker.ts'
import { createBodiesInFlight } from './bodies-in-flight.ts'
import { acceptJsonOnly } from './json-body.ts'

export type WorkerDrainOptions = { readonly drain: DrainWorker }

const BODY_LIMIT_BYTES = 16 * 1024

export const workerDrain: FastifyPluginCallbackTypebox<WorkerDrainOptions> = (app, { drain }, done) => {
  acceptJsonOnly(app, { limitBytes: BODY_LIMIT_BYTES, bodies: createBodiesInFlight(), ownerOf: () => 'admin' })
  const schema = { params: DrainParams, body: DrainBody, response: { 200: DrainReply } }
  const options = { config: { otel: false }, schema }
  app.post('/workers/:id/drain', options, ({ params: { id }, body: { reason } }) =>
    drain({ id, draining: true, reason }),
  )
  app.post('/workers/:id/undrain', options, ({ params: { id }, body: { reason } }) =>
    drain({ id, draining: false, reason }),
  )
  done()
}
