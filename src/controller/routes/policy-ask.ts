// On the admin listener: POST /policy/ask (up to 1,000 questions), and GET /policy/data (the data in force).
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyError } from 'fastify'
import { CapabilityError, makeCapability } from '../../core/capability.ts'
import { AppError } from '../../core/errors.ts'
import { INSTANT_RULE, parseInstant } from '../../core/instant.ts'
import { AskBody, AskError, AskReply, type AskQuestion } from '../../core/policy-ask.ts'
import { parseSpiffeId, SpiffeIdError } from '../../core/spiffe-id.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import { appErrorOf } from '../edge/problem.ts'
import type { AskPolicy, PolicyQuestion } from '../../policy/ask.ts'
import { createBodiesInFlight } from './bodies-in-flight.ts'
import { acceptJsonOnly } from './json-body.ts'

export type PolicyAskOptions = {
  readonly ask: AskPolicy
  readonly policy: {
    readonly files: () => Pick<PolicyFiles, 'dir' | 'dataText'>
    readonly revision: () => string
  }
  /** The part of a pino logger that is used here. */
  readonly log: { readonly debug: (fields: object, message: string) => void }
}

const BODY_LIMIT_BYTES = 4 * 1024 * 1024
const errors = { '4xx': AskError, '5xx': AskError }
const quiet = { otel: false }

export const policyAsk: FastifyPluginCallbackTypebox<PolicyAskOptions> = (app, { ask, policy, log }, done) => {
  // Callers have no identity on this listener: all share one limit.
  acceptJsonOnly(app, { limitBytes: BODY_LIMIT_BYTES, bodies: createBodiesInFlight(), ownerOf: () => 'admin' })
  app.setErrorHandler<FastifyError | AppError>(async (thrown, _request, reply) => {
    const { code, message, kind } = appErrorOf(thrown)
    if (kind.retryAfterS !== undefined) reply.header('retry-after', kind.retryAfterS)
    reply.type('application/problem+json')
    return reply.code(kind.status).send({ error: code, reason: plain(message) })
  })
  const schema = { body: AskBody, response: { 200: AskReply, ...errors } }
  app.post('/policy/ask', { schema, config: quiet }, async ({ body }) => {
    const isBatch = 'questions' in body
    const questions = isBatch
      ? body.questions.map((question, at) => parseQuestion(question, `questions[${at}].`))
      : [parseQuestion(body, '')]
    const answers = await ask(questions)
    for (const answer of answers) log.debug({ event: 'policy_asked', ...answer }, 'the policy was asked')
    const [first] = answers
    return isBatch || first === undefined ? { answers } : first
  })
  // Text, not an object: 19-digit times would be rounded.
  app.get('/policy/data', { config: quiet }, async (_request, reply) => {
    const { dir, dataText } = policy.files()
    const about = JSON.stringify({ policy_revision: policy.revision(), policy_dir: dir })
    return reply.type('application/json').send(`${about.slice(0, -1)},"data":${dataText}}`)
  })
  done()
}

function parseQuestion({ spiffe_id: id, verb, capability, at }: AskQuestion, where: string): PolicyQuestion {
  const spiffeId = parsed(() => parseSpiffeId(id), `${where}spiffe_id`)
  const atNs = at === undefined ? undefined : parseInstant(at)
  if (at !== undefined && atNs === undefined) throw new AppError('request_invalid', `${where}at ${INSTANT_RULE}`)
  return { spiffeId, capability: parsed(() => makeCapability(verb, capability), `${where}capability`), atNs }
}

function parsed<T>(parse: () => T, where: string): T {
  try {
    return parse()
  } catch (cause: unknown) {
    if (!(cause instanceof SpiffeIdError || cause instanceof CapabilityError)) throw cause
    throw new AppError('request_invalid', `${where}: ${cause.message}`, { cause })
  }
}

/** A schema fault without the part that names the branch of the schema. */
function plain(message: string): string {
  return message.replace(/; body must match "(then|else)" schema$/, '')
}
