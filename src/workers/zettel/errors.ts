// What can go wrong with zettels, for the `errors` of the capabilities; and how a fault of the disk becomes one of them.
import { capabilityError, type HandlerError } from '../../worker/call-error.ts'
import type { ErrorDeclaration } from '../../worker/define.ts'
import { errnoOf } from './durable-file.ts'
import { isBusy } from './index-file.ts'

/** What one caller may keep. */
export type Quota = { readonly zettels: number; readonly bytes: number }
export const QUOTA: Quota = { zettels: 50_000, bytes: 1_000_000_000 }

export const errors = {
  INVALID_ZETTEL: {
    description: 'The input does not fit the schema or the rules of a zettel, or the zettel_id exists already.',
    retryable: false,
    status: 400,
  },
  TOO_MANY_ZETTELS: {
    description: `The caller keeps ${QUOTA.zettels} zettels or ${QUOTA.bytes} bytes already.`,
    retryable: false,
    status: 422,
  },
  STORAGE_FAILURE: {
    description: 'The disk or the index failed, or another process works in the folder.',
    retryable: true,
    status: 503,
  },
} as const satisfies Record<string, ErrorDeclaration>

export const notFound = (): HandlerError =>
  capabilityError('ZETTEL_NOT_FOUND', 'there is no such zettel for this caller')

/** A sentence without a path: it goes to the caller. */
export function storageFailure(cause: unknown): HandlerError {
  const reason = isBusy(cause) ? 'another process works in the folder' : (errnoOf(cause) ?? 'internal')
  return capabilityError('STORAGE_FAILURE', `the storage failed (${reason})`, { cause })
}
