// The table of errors and the world around it: every code is thrown, tested and documented, and no answer reveals internals.
import { readFile } from 'node:fs/promises'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { appErrorOf, problemOf } from '../../src/controller/edge/problem.ts'
import { AppError, ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import { startMesh, STREAMING, TRUST_DOMAIN } from '../fixtures/mesh.ts'
import { copyPolicies } from '../fixtures/policy-dir.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Besides every 503. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['idempotency_in_progress', 'rate_limited', 'worker_replaced'])
const CODES = Object.keys(ERRORS) as ErrorCode[]
/** A code as a word of its own: `not_found` does not stand in `file_not_found`. */
const names = (text: string, code: string): boolean => new RegExp(`(?<![a-z_])${code}(?![a-z_])`).test(text)

async function textsOf(pattern: string, but: string[] = []): Promise<Map<string, string>> {
  const files = globSync(pattern, { cwd: ROOT }).filter((file) => !but.includes(file))
  return new Map(
    await Promise.all(files.map(async (file) => [file, await readFile(join(ROOT, file), 'utf8')] as const)),
  )
}
const missingIn = (texts: Map<string, string>): ErrorCode[] =>
  CODES.filter((code) => ![...texts.values()].some((text) => names(text, code)))

describe('every error code', () => {
  test('is thrown somewhere', async () => {
    expect(missingIn(await textsOf('src/**/*.ts', ['src/core/errors.ts']))).toEqual([])
  })

  test('is named by a test', async () => {
    expect(missingIn(await textsOf('test/**/*.test.ts'))).toEqual([])
  })

  test('stands in docs/error-codes.md with its status, its meaning and its Retry-After, and no other does', async () => {
    const page = await readFile(join(ROOT, 'docs/error-codes.md'), 'utf8')
    const rows = page.split('\n').filter((line) => /^\| \d/.test(line))
    const documented = rows.map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    const expected = CODES.map((code) => {
      const kind: { status: number; title: string; retryAfterS?: number } = ERRORS[code]
      return [
        String(kind.status),
        `\`${code}\``,
        kind.title,
        kind.retryAfterS === undefined ? '-' : `${kind.retryAfterS} s`,
      ]
    })
    expect(documented.sort()).toEqual(expected.sort())
  })

  test('of trouble that passes by itself has a Retry-After, and only of that', () => {
    const withRetry = CODES.filter((code) => 'retryAfterS' in ERRORS[code])
    expect(withRetry).toEqual(CODES.filter((code) => ERRORS[code].status === 503 || PASSING.has(code)))
  })
})

describe('an error answer', () => {
  const context = { decisionId: 'd', traceId: 't', requester: undefined, capability: undefined }

  test('of an unknown failure is internal_error and reveals nothing of it', () => {
    const failure = new Error('EACCES: permission denied, open /etc/crank/controller.key')
    const problem = problemOf(appErrorOf(failure), context)
    expect(problem).toEqual({
      type: 'urn:crank:error:internal_error',
      title: ERRORS.internal_error.title,
      status: 500,
      detail: ERRORS.internal_error.title,
      error: 'internal_error',
      reason: ERRORS.internal_error.title,
      decision_id: 'd',
      trace_id: 't',
    })
  })

  for (const code of CODES) {
    test(`of ${code} keeps its cause to itself`, () => {
      const cause = new Error('secret cause at /srv/app/src/controller/main.ts:12:3')
      const text = JSON.stringify(problemOf(appErrorOf(new AppError(code, undefined, { cause })), context))
      expect(text).not.toMatch(/secret|\/srv|\.ts|\bat\s+\S+:\d+/)
      expect(text).toContain(`"status":${ERRORS[code].status}`)
    })
  }
})

test('an allowed call of a capability that no manifest names is 404 capability_unknown', async () => {
  const exception = {
    temporary_allow_all: true,
    expires_after: 'NS',
    reason: 'test',
    owner: 'test',
    created_at: new Date().toISOString(),
  }
  const text = JSON.stringify({ [`spiffe://${TRUST_DOMAIN}/${STREAMING}`]: exception })
  const inAnHour = `${Date.now() + 3_600_000}000000`
  await using policies = await copyPolicies({ 'data/exceptions.json': text.replace('"NS"', inAnHour) })
  const mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
  const answer = await mesh.route(STREAMING, { verb: 'made', capability: 'up_by_the_caller' })
  expect(answer).toMatchObject({ status: 404, body: { error: 'capability_unknown' } })
  const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
  expect(record).toMatchObject({ event: 'policy_decision', decision: 'allow', grounds: ['exception'] })
  await mesh.close()
})
