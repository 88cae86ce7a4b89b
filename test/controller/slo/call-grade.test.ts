// What the end of a call says about the mesh.
import { expect, test } from 'vitest'
import { gradeOf, type Grade } from '../../../src/controller/slo/call-grade.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import type { Outcome } from '../../../src/core/outcome.ts'

const CASES: readonly [outcome: Outcome, status: number, code: ErrorCode | undefined, grade: Grade][] = [
  ['completed', 200, undefined, 'good'],
  ['completed', 204, undefined, 'good'],
  ['completed', 422, undefined, 'skipped'],
  ['caller_left', 408, 'request_timeout', 'skipped'],
  ['caller_left', 200, undefined, 'skipped'],
  ['worker_failed', 502, 'worker_failed', 'bad'],
  ['worker_failed', 503, 'no_worker_available', 'bad'],
  ['worker_failed', 503, 'worker_busy', 'bad'],
  ['worker_failed', 503, 'overloaded', 'bad'],
  ['worker_failed', 404, 'capability_unknown', 'skipped'],
  // Broken off after its head: the caller got an incomplete answer, whatever the status of it.
  ['worker_failed', 200, undefined, 'bad'],
  ['worker_failed', 404, undefined, 'bad'],
  ['timeout', 504, 'worker_timeout', 'bad'],
  ['timeout', 200, undefined, 'bad'],
  ['unknown', 502, 'worker_failed', 'bad'],
  ['shutdown', 503, 'shutting_down', 'bad'],
  ['refused', 503, 'slo_shed', 'skipped'],
  ['refused', 429, 'rate_limited', 'skipped'],
  ['refused', 409, 'idempotency_in_progress', 'skipped'],
  ['refused', 503, 'idempotency_unavailable', 'bad'],
  ['refused', 503, 'audit_unavailable', 'bad'],
]

test.each(CASES)('%s with %i and %s is %s', (outcome, status, code, grade) => {
  expect(gradeOf({ outcome, status, error: code && { code }, firstByteMs: undefined })).toBe(grade)
})
