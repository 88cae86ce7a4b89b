// Errors of zettels for the `errors` of the capabilities, and the conversion of disk faults.
import { capabilityError, type HandlerError } from '../../worker/call-error.ts'
import type { ErrorDeclaration } from '../../worker/define.ts'
import { errnoOf } from './durable-file.ts'
import { isBusy } from './index-file.ts'

/** Limits per caller. */
export type Quota = { readonly zettels: number; readonly bytes: number }
export const QUOTA: Quota = { zettels: 50_000, bytes: 1_000_000_000 }

export const errors = {
  INVALID_ZETTEL: {
    description: 'The input does not fit the schema or the rules of a zettel, or the zettel_id already exists.',
    retryable: false,
    status: 400,
  },
  TOO_MANY_ZETTELS: {
    description: `The caller already keeps ${QUOTA.zettels} zettels or ${QUOTA.bytes} bytes.`,
    retryable: false,
    status: 422,
  },
  STORAGE_FAILURE: {
    description: 'The disk or the index failed, or another process uses the folder.',
    retryable: true,
    status: 503,
  },
} as const satisfies Record<string, ErrorDeclaration>

export const notFound = (): HandlerError => capabilityError('ZETTEL_NOT_FOUND', 'this caller has no such zettel')

/** A message without a path, since the caller reads it. */
export function storageFailure(cause: unknown): HandlerError {
  const reason = isBusy(cause) ? 'another process uses the folder' : (errnoOf(cause) ?? 'internal')
  return capabilityError('STORAGE_FAILURE', `the storage failed (${reason})`, { cause })
}
