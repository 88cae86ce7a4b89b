// The one form of an error answer: the members of RFC 9457, and ours. It contains nothing internal: only the texts of the
// error table and the messages of AppErrors.
import type { FastifyError } from 'fastify'
import { AppError, ERRORS, type ErrorCode } from '../../core/errors.ts'
import { printable, quoted } from '../../core/printable.ts'
import type { Problem } from '../../core/wire.ts'

/** What the answer contains besides the error. */
export type ProblemContext = {
  readonly decisionId: string
  readonly traceId: string
  readonly requester: string | undefined
  readonly capability: string | undefined
}

/** Builds the body of an error answer. `type` is a URN, since there is no page about it. */
export function problemOf(error: AppError, context: ProblemContext): Problem {
  return {
    type: `urn:crank:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: error.kind.status,
    detail: error.message,
    error: error.code,
    reason: error.message,
    ...(error.reasonCode === undefined ? {} : { reason_code: error.reasonCode }),
    ...(context.requester === undefined ? {} : { requester: context.requester }),
    ...(context.capability === undefined ? {} : { capability: context.capability }),
    decision_id: context.decisionId,
    trace_id: context.traceId,
  }
}

const BY_STATUS: Readonly<Partial<Record<number, ErrorCode>>> = {
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'payload_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
}
const ACCEPTED = 'send application/json; only POST /route/{verb}/{capability} accepts other types'

/** Any error from Fastify or a handler as an AppError: a schema fault is described, anything unknown is internal. */
export function appErrorOf(error: FastifyError | AppError | Error): AppError {
  if (error instanceof AppError) return error
  if ('validation' in error) {
    return new AppError('request_invalid', validationSentence(error), { cause: error })
  }
  const code = codeOf(error)
  return new AppError(code, code === 'unsupported_media_type' ? ACCEPTED : undefined, { cause: error })
}

/** An error that Fastify attributes to the request is the caller's fault; everything else is ours. */
function codeOf(error: Error & { code?: unknown; statusCode?: unknown }): ErrorCode {
  const { code, statusCode: status } = error
  const isFastify = typeof code === 'string' && code.startsWith('FST_ERR_')
  if (!isFastify || typeof status !== 'number' || status < 400 || status > 499) return 'internal_error'
  return BY_STATUS[status] ?? 'request_invalid'
}

function validationSentence({ validation, validationContext }: FastifyError): string {
  const complaints = (validation ?? []).map(({ instancePath, message, keyword, params }) => {
    const where = `${validationContext ?? 'request'}${instancePath.replaceAll('/', '.')}`
    const extra = keyword === 'additionalProperties' ? ` (${quoted(String(params['additionalProperty']))})` : ''
    return `${printable(where)} ${message ?? 'is invalid'}${extra}`
  })
  return complaints.join('; ')
}
