// The second listener: health, metrics and the operator's view. Plain HTTP on loopback: default deny must not block
// scraping, and workers must not see metrics (decision 0037).
import Fastify, { type FastifyInstance } from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import Type, { type Static } from 'typebox'
import { AuditStates, CatalogQuery, WorkersReply } from '../core/wire.ts'
import type { HostRules } from '../platform/host-rules.ts'
import type { Registry as MetricsRegistry } from '../platform/metrics.ts'
import { adminErrorOptions, handleAdminErrors } from './admin/admin-errors.ts'
import { scrapeFor } from './metrics/scrape-format.ts'
import { refuseOtherHosts } from './admin/admin-hosts.ts'
import type { Readiness } from './readiness.ts'
import { policyAsk, type PolicyAskOptions } from './routes/policy-ask.ts'
import { auditRotate, type AuditRotateOptions } from './routes/audit-rotate.ts'
import { workerDrain, type WorkerDrainOptions } from './routes/worker-drain.ts'
import { policyExceptions, type PolicyExceptionsOptions } from './routes/policy-exceptions.ts'

type AdminOptions = {
  /** All processes of this controller together. */
  readonly readiness: () => Promise<Readiness>
  /** Host names allowed in addition to addresses and `localhost`; an empty list adds none. */
  readonly allowedHosts: HostRules
  readonly workers: (query: CatalogQuery) => WorkersReply
  readonly drain: WorkerDrainOptions
  readonly audit: AuditRotateOptions & {
    /** All processes of this controller together. */
    readonly states: () => Promise<AuditStates>
  }
  readonly about: () => Omit<Static<typeof HealthSchema>, 'status' | 'checks' | 'audit'>
  readonly exceptions: PolicyExceptionsOptions
  /** The mTLS listener's routes as an OpenAPI 3.1 document. */
  readonly openapi: () => object
  readonly policyAsk: PolicyAskOptions
  /** All processes of this controller together. */
  readonly metrics: () => Promise<MetricsRegistry>
  readonly fastifyOtel: FastifyOtelInstrumentation | undefined
}

const CheckSchema = Type.Object(
  { name: Type.String(), ok: Type.Boolean(), reason: Type.Optional(Type.String()) },
  { additionalProperties: false },
)
const ReadinessSchema = Type.Object(
  { status: Type.String(), checks: Type.Array(CheckSchema) },
  { additionalProperties: false },
)
const Count = Type.Integer({ minimum: 0 })
/** How many entries of the enforcement data are in shadow mode. */
const ShadowSchema = Type.Object(
  { default: Count, callers: Count, capabilities: Count },
  { additionalProperties: false },
)
const Pair = Type.Object({ allow: Count, deny: Count }, { additionalProperties: false })
/** The candidate policy: `agreement` counts by the active decision, then by the candidate's. */
const CandidateSchema = Type.Object(
  {
    state: Type.String(),
    reason: Type.Union([Type.String(), Type.Null()]),
    revision: Type.Union([Type.String(), Type.Null()]),
    agreement: Type.Object({ allow: Pair, deny: Pair }, { additionalProperties: false }),
    dropped: Count,
    undecided: Count,
  },
  { additionalProperties: false },
)
const HealthSchema = Type.Object(
  {
    status: Type.String(),
    version: Type.String(),
    engine: Type.String(),
    policy_revision: Type.String(),
    shadow: ShadowSchema,
    candidate: Type.Union([CandidateSchema, Type.Null()]),
    audit: AuditStates,
    checks: Type.Array(CheckSchema),
  },
  { additionalProperties: false },
)
const PATHS =
  '/livez, /readyz, /health, /metrics, /workers, /openapi.json, /policy/data, /policy/exceptions, and POST on /audit/rotate, /policy/ask, /workers/{id}/drain and /workers/{id}/undrain'
const Live = Type.Object({ status: Type.Literal('live') }, { additionalProperties: false })

const STALLED_MS = 30_000

/** Builds the admin server; the caller listens on it. */
export async function createAdmin(options: AdminOptions): Promise<FastifyInstance> {
  const app = Fastify({
    forceCloseConnections: true,
    exposeHeadRoutes: true,
    ...adminErrorOptions,
    // A scraper that does not read its answer may hold a connection only for this long.
    connectionTimeout: STALLED_MS,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
  }).withTypeProvider<TypeBoxTypeProvider>()
  refuseOtherHosts(app, options.allowedHosts)
  if (options.fastifyOtel !== undefined) await app.register(options.fastifyOtel.plugin())
  await handleAdminErrors(app, PATHS)
  const quiet = { config: { otel: false } }
  app.get('/livez', { ...quiet, schema: { response: { 200: Live } } }, () => ({ status: 'live' as const }))
  app.get(
    '/readyz',
    { ...quiet, schema: { response: { 200: ReadinessSchema, 503: ReadinessSchema } } },
    async (_request, reply) => {
      const readiness = await options.readiness()
      return reply.code(readiness.status === 'ready' ? 200 : 503).send({ ...readiness, checks: [...readiness.checks] })
    },
  )
  app.get('/health', { ...quiet, schema: { response: { 200: HealthSchema } } }, async () => {
    const [{ status, checks }, audit] = await Promise.all([options.readiness(), options.audit.states()])
    return { status, ...options.about(), audit, checks: [...checks] }
  })
  app.get('/metrics', quiet, async ({ headers }, reply) => {
    const scrape = await scrapeFor(await options.metrics(), headers)
    return reply.headers(scrape.headers).send(scrape.body)
  })
  const workers = { ...quiet, schema: { querystring: CatalogQuery, response: { 200: WorkersReply } } }
  app.get('/workers', workers, ({ query }) => options.workers(query))
  app.get('/openapi.json', quiet, options.openapi)
  await app.register(workerDrain, options.drain)
  await app.register(auditRotate, options.audit)
  await app.register(policyAsk, options.policyAsk)
  await app.register(policyExceptions, options.exceptions)
  return app
}
