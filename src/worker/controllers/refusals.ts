// Answers of a controller that say something about itself and not about the request: another controller may be asked.
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { ErrorCode } from '../../core/errors.ts'
import { HEADERS } from '../../core/wire.ts'
import { readText } from './read-text.ts'

/** An answer as it arrives. The receiver must read `body` to its end or destroy it. */
export type Answer = Pick<Dispatcher.ResponseData, 'headers'> & { readonly status: number; readonly body: Readable }

/** `code`: of the controller's refusal, where it matters here. */
export type ReadAnswer = { readonly answer: Answer; readonly code: ErrorCode | undefined }

/**
 * Each is given before a worker has got the request, or to a request with an idempotency key. Not among them: refusals because
 * of load (`overloaded`, `rate_limited`, `slo_shed`, `worker_busy`), which a second controller would only multiply.
 */
const OF_THIS_CONTROLLER = new Set<ErrorCode | undefined>([
  'shutting_down',
  'policy_not_ready',
  'policy_engine_unavailable',
  'policy_engine_error',
  'audit_unavailable',
  'idempotency_unavailable',
  'registry_unavailable',
])
const MAX_PROBLEM_BYTES = 256 * 1024

/** Whether the controller cannot serve anybody now. */
export function isUnfit({ code }: ReadAnswer): boolean {
  return OF_THIS_CONTROLLER.has(code)
}

/** Whether this controller knows no worker for the call; another one may, such as after a restart. */
export function knowsNoWorker({ code }: ReadAnswer): boolean {
  return code === 'no_worker_available'
}

/** Whether the first attempt of the same call still runs. */
export function isInProgress({ code }: ReadAnswer): boolean {
  return code === 'idempotency_in_progress'
}

/** Reads the body of a refusal that may be one of the above, and leaves every other one unread. @throws when it breaks off */
export async function readRefusal({ statusCode: status, headers, body }: Dispatcher.ResponseData): Promise<ReadAnswer> {
  const isControllers = headers[HEADERS.workerId] === undefined
  if (!isControllers || (status !== 503 && status !== 409))
    return { answer: { status, headers, body }, code: undefined }
  const text = await readText(body, MAX_PROBLEM_BYTES)
  return { answer: { status, headers, body: Readable.from([Buffer.from(text)]) }, code: codeIn(text) }
}

function codeIn(text: string): ErrorCode | undefined {
  try {
    return ((JSON.parse(text) ?? {}) as { error?: ErrorCode }).error
  } catch {
    return undefined
  }
}
