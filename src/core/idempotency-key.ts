// The Idempotency-Key of a call (draft-ietf-httpapi-idempotency-key-header): one key, however it is written. The header takes
// an sf-string (RFC 8941, 3.3.3) or the bare text; a member of a body is the key itself.
import { AppError } from './errors.ts'

/** A key, as a member of a body contains it: printable ASCII. */
export const IDEMPOTENCY_KEY = '^[\\x20-\\x7e]{1,128}$'

const KEY = new RegExp(IDEMPOTENCY_KEY)
const BARE = /^[\x21\x23-\x7e][\x21-\x7e]*$/
const SF_STRING = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/

/** The key that a header value means. @throws {AppError} `request_invalid` */
export function parseIdempotencyKey(value: string): string {
  const key = BARE.test(value) ? value : SF_STRING.exec(value)?.[1]?.replace(/\\(["\\])/g, '$1')
  if (key !== undefined && KEY.test(key)) return key
  const form = 'a string of 1-128 printable ASCII characters, in quotes if it has spaces'
  throw new AppError('request_invalid', `idempotency-key must be one key: ${form}`)
}

/** The header value of a key: bare where that is possible, otherwise an sf-string. */
export function formatIdempotencyKey(key: string): string {
  return BARE.test(key) ? key : `"${key.replace(/["\\]/g, '\\$&')}"`
}
