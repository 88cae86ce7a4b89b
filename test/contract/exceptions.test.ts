// Exceptions are judged in one place, the Rego. What the loader says of an entry, and editors by the generated schema, is
// what the Rego makes of it.
import { readFile } from 'node:fs/promises'
import { Ajv } from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import { schemaPath } from '../../scripts/generate-policy-schemas.ts'
import { parseExactJson } from '../../src/policy/data/exact-json.ts'
import { parseExceptions } from '../../src/policy/data/exceptions.ts'
import { createOpaWasm } from '../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../src/policy/data/policy-files.ts'
import { exceptionsFile, NOW_NS, SOUND, UNSOUND } from '../fixtures/exception-entries.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { policyInput } from '../fixtures/policy-input.ts'

const WHO = 'spiffe://crank.local/worker/partner'
const nowMs = Number(NOW_NS / 1_000_000n)
let files: PolicyFiles
let fits: (value: unknown) => boolean
beforeAll(async () => {
  files = await loadPolicyFiles(POLICY_DIR, nowMs)
  const schema = JSON.parse(await readFile(schemaPath('exceptions.json'), 'utf8')) as object
  fits = new Ajv({ strict: false }).compile(schema) as (value: unknown) => boolean
})

async function decide(entry: unknown) {
  const dataText = `{"workers":{},"exceptions":${exceptionsFile(WHO, entry)},"blocked":{},"enforcement":{}}`
  const engine = await createOpaWasm({ files: { ...files, dataText }, timeoutMs: 20_000 })
  return engine.decide('capability_access', policyInput(WHO, 'a:b', NOW_NS))
}

const parse = (entry: unknown) => parseExceptions(parseExactJson(exceptionsFile(WHO, entry)), { nowMs })

describe('an exception', () => {
  test.each(Object.entries(SOUND))('%s is good for the loader, for an editor and for the policy', async (_w, entry) => {
    const { entries, faults } = parse(entry)
    expect(faults).toEqual([])
    const decision = await decide(entry)
    expect(decision).toMatchObject({ decision: 'allow', grounds: ['exception'] })
    expect(entries.map(({ name }) => name)).toContain(decision.exception)
    expect(fits(JSON.parse(exceptionsFile(WHO, entry)))).toBe(true)
  })

  test.each(Object.entries(UNSOUND))('%s is faulty for the loader and no ground for the policy', async (_w, entry) => {
    const { entries, faults } = parse(entry)
    expect(entries).toEqual([])
    expect(faults.length).toBeGreaterThan(0)
    const { decision, reasons } = await decide(entry)
    expect(decision).toBe('deny')
    expect(reasons.map(({ code }) => code)).toContain('worker_unknown')
  })
})
