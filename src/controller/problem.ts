// The one shape of an error answer: RFC 9457 members and ours. Nothing internal gets in: only the error table's texts,
// and the reasons that AppErrors were made with.
import type { FastifyError } from 'fastify'
import { AppError, ERRORS, type ErrorCode } from '../core/errors.ts'
import { printable, quoted } from '../core/printable.ts'
import type { Problem } from '../core/wire.ts'

/** What the answer says beside the error. */
export type ProblemContext = {
  readonly decisionId: string
  readonly traceId: string
  readonly requester: string | undefined
  readonly capability: string | undefined
}

/** Builds the body of an error answer. `type` is a URN: there is no page behind it. */
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

const FASTIFY_CODES: Readonly<Partial<Record<string, ErrorCode>>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_EMPTY_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'request_invalid',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'request_invalid',
  FST_ERR_BAD_URL: 'request_invalid',
  FST_ERR_ASYNC_CONSTRAINT: 'request_invalid',
}

/** Whatever Fastify or a handler threw, as an AppError: a schema's complaint is named, anything unknown is internal. */
export function appErrorOf(error: FastifyError | AppError | Error): AppError {
  if (error instanceof AppError) return error
  if ('validation' in error) {
    return new AppError('request_invalid', validationSentence(error), { cause: error })
  }
  const code = 'code' in error ? FASTIFY_CODES[error.code] : undefined
  return new AppError(code ?? 'internal_error', undefined, { cause: error })
}

function validationSentence({ validation, validationContext }: FastifyError): string {
  const complaints = (validation ?? []).map(({ instancePath, message, keyword, params }) => {
    const where = `${validationContext ?? 'request'}${instancePath.replaceAll('/', '.')}`
    const extra = keyword === 'additionalProperties' ? ` (${quoted(String(params['additionalProperty']))})` : ''
    return `${printable(where)} ${message ?? 'is invalid'}${extra}`
  })
  return complaints.join('; ')
}
