// How an idempotency key affected a call: the closed set of the audit log and of the metrics.

/**
 * `stored`: a worker was called, and its answer is stored. `unstored`: a worker was called, and its outcome is unclear or its
 * answer is not stored: nothing runs again under this key. `freed`: no worker began, the key can be used again. `replayed`: a
 * stored answer. The others are refusals before a worker: `in_progress`, `reused` for another request, `unknown` outcome of the
 * first request, `unavailable` store, `too_large` body.
 */
export type IdempotencyResult = (typeof IDEMPOTENCY_RESULTS)[number]
export const IDEMPOTENCY_RESULTS = [
  'stored',
  'unstored',
  'freed',
  'replayed',
  'in_progress',
  'reused',
  'unknown',
  'unavailable',
  'too_large',
] as const
