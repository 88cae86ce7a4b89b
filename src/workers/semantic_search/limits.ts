// Limits. The schema states those it can express; the others need a count of the stored documents.

/** Limits per call. Lengths are in UTF-16 code units. */
export const MAX_DOCUMENTS_PER_CALL = 100
export const MAX_TEXT_LENGTH = 100_000
export const MAX_TEXT_PER_CALL = 2_000_000
export const MAX_IDS_PER_CALL = 1_000
export const MAX_ATTRIBUTES = 32
export const MAX_QUERY_LENGTH = 1_000
export const MAX_QUERY_WORDS = 64
export const MAX_K = 50

/** Limits on what one caller keeps, and on the number of callers that keep something. */
export type KeepLimits = {
  readonly documents: number
  readonly textLength: number
  readonly callers: number
}
export const KEEP_LIMITS: KeepLimits = { documents: 10_000, textLength: 32_000_000, callers: 256 }
