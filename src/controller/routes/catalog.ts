// GET /capabilities and GET /workers: what is live, for any verified peer; where workers live is the admin listener's.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { CapabilitiesReply, Problem, WorkersReply } from '../../core/wire.ts'

export type CatalogRoutesOptions = {
  readonly workers: () => WorkersReply
  readonly capabilities: () => CapabilitiesReply
}

const config = { otel: false, spanOfFailureOnly: true } as const
const errors = { '4xx': Problem, '5xx': Problem }

export const catalogRoutes: FastifyPluginCallbackTypebox<CatalogRoutesOptions> = (app, options, done) => {
  app.get('/workers', { config, schema: { response: { 200: WorkersReply, ...errors } } }, options.workers)
  app.get(
    '/capabilities',
    { config, schema: { response: { 200: CapabilitiesReply, ...errors } } },
    options.capabilities,
  )
  done()
}
