// Turns the result or the error of a handler into the worker's HTTP answer.
import type { Readable } from 'node:stream'
import type { WorkerErrorBody } from '../core/wire.ts'
import { HandlerError, RUNTIME_ERRORS, RuntimeError } from './call-error.ts'
import type { CapabilityDefinition } from './define.ts'

export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer | Readable
}

/** `cause` is set when the worker is at fault: it goes to the log, never into the answer. */
export type Failure = { readonly status: number; readonly body: WorkerErrorBody; readonly cause?: unknown }

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }

export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, headers: JSON_TYPE, body: JSON.stringify(value) }
}

export function failureAnswer({ status, body }: Failure): Answer {
  const answer = jsonAnswer(status, body)
  return status === 503 ? { ...answer, headers: { ...answer.headers, 'retry-after': '1' } } : answer
}

/** A declared code keeps its message; any other error becomes INTERNAL without detail. */
export function toFailure(error: unknown, definition: CapabilityDefinition | undefined): Failure {
  if (error instanceof RuntimeError) return runtimeFailure(error, definition)
  if (!(error instanceof HandlerError)) return internal(error)
  const declared = definition?.errors.get(error.code)
  if (declared === undefined) return internal(new Error(`error code ${error.code} is not declared`, { cause: error }))
  const { retryable, status = retryable ? 503 : 422 } = declared
  return { status, body: { error: error.code, message: error.message, retryable } }
}

function runtimeFailure(error: RuntimeError, definition: CapabilityDefinition | undefined): Failure {
  const { status, retryable } = RUNTIME_ERRORS[error.code]
  const body = { error: error.code, message: error.message, retryable }
  if (error.code === 'INVALID_INPUT' && definition !== undefined) {
    return {
      status: definition.errors.get(definition.invalidInput)?.status ?? status,
      body: { ...body, error: definition.invalidInput },
    }
  }
  switch (error.code) {
    case 'OUTPUT_INVALID':
      return { status, body, cause: error.cause }
    case 'CAPABILITY_NOT_DECLARED':
      return { status, body, cause: error }
    default:
      return { status, body }
  }
}

function internal(cause: unknown): Failure {
  const { status, retryable } = RUNTIME_ERRORS.INTERNAL
  return { status, body: { error: 'INTERNAL', message: 'the worker failed', retryable }, cause }
}
