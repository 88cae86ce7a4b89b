// GET /capabilities and GET /workers: what is live, for any
// verified peer. Only the admin listener shows the URLs of workers.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { CapabilitiesReply, CatalogQuery, Problem, WorkersReply } from '../../core/wire.ts'

export type CatalogRoutesOptions = {
  readonly workers: (query: CatalogQuery) => WorkersReply
  readonly capabilities: (query: CatalogQuery) => CapabilitiesReply
}

const config = { otel: false, spanOfFailureOnly: true } as const
const errors = { '4xx': Problem, '5xx': Problem }
const querystring = CatalogQuery

export const catalogRoutes: FastifyPluginCallbackTypebox<CatalogRoutesOptions> = (app, options, done) => {
  app.get(
    '/workers',
    { config, schema: { querystring, response: { 200: WorkersReply, ...errors } } },
    // eslint-disable-next-line @typescript-eslint/require-await -- async, so that a throw becomes a rejection
    async ({ query }) => options.workers(query),
  )
  app.get(
    '/capabilities',
    { config, schema: { querystring, response: { 200: CapabilitiesReply, ...errors } } },
    // eslint-disable-next-line @typescript-eslint/require-await -- as above
    async ({ query }) => options.capabilities(query),
  )
  done()
}
