import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { schemaPath } from '../../../scripts/generate-policy-schemas.ts'
import { checkPolicyData, describeFault } from '../../../src/policy/data/data-schema.ts'
import { homeOf, REQUIRED_FILES, type DataFileName } from '../../../src/policy/data/data-shapes.ts'
import { parseExactJson } from '../../../src/policy/data/exact-json.ts'
import { POLICY_DIR } from '../../fixtures/policy-dir.ts'

const A = 'spiffe://crank.local/worker/a'
const manifest = { worker_id: 'worker-a', required_capabilities: ['a:b'] }
const withManifest = (members: object): object => ({ workers: { [A]: { ...manifest, ...members } } })

const GOOD: readonly [DataFileName, object][] = [
  ['worker_manifests.json', { workers: {} }],
  ['worker_manifests.json', withManifest({})],
  ['worker_manifests.json', withManifest({ provided_capabilities: [], owner: 'o', deployed_at: '2026-11-24' })],
  ['enforcement.json', {}],
  ['enforcement.json', { enforcement: {} }],
  ['enforcement.json', { enforcement: { default: 'shadow', callers: {}, capabilities: { 'a:b': 'enforce' } } }],
  ['enforcement.json', { enforcement: { callers: { [A]: 'shadow', 'spiffe://crank.local/': 'shadow' } } }],
  ['enforcement.json', { enforcement: { callers: { 'spiffe://crank.local/worker/team/': 'enforce' } } }],
  ['enforcement.json', { exception_limits: { max_days: 7 } }],
  ['limits.json', {}],
  ['limits.json', { limits: {} }],
  ['privacy.json', {}],
  ['privacy.json', { privacy: { mask_reason_messages: true } }],
  [
    'limits.json',
    {
      limits: {
        default: { rate: 0.5, burst: 3, concurrent: 2, body_bytes: 1, max_priority: 'low' },
        identities: { [A]: { capabilities: { 'a:b': { rate: 1 } } }, 'spiffe://crank.local/worker/': {} },
        capabilities: { 'a:b': { concurrent: 1 } },
      },
    },
  ],
  ['blocked.json', {}],
  ['blocked.json', { blocked: { identities: { [A]: null }, capabilities: { 'a:b': 'since yesterday' } } }],
  ['exceptions.json', {}],
]

const BAD: readonly [DataFileName, unknown, string][] = [
  ['worker_manifests.json', [], 'must be an object'],
  ['worker_manifests.json', {}, 'workers is missing'],
  ['worker_manifests.json', { workers: {}, worker: {} }, 'worker is unknown'],
  ['worker_manifests.json', { workers: [] }, 'workers must be an object'],
  ['worker_manifests.json', { workers: { a: manifest } }, 'workers.a must be a SPIFFE ID'],
  ['worker_manifests.json', { workers: { [`${A}/`]: manifest } }, `workers["${A}/"] must be a SPIFFE ID`],
  ['worker_manifests.json', { workers: { 'spiffe://crank.local': manifest } }, 'must be a SPIFFE ID'],
  ['worker_manifests.json', { workers: { 'spiffe://x/a/../b': manifest } }, 'must be a SPIFFE ID'],
  ['worker_manifests.json', { workers: { [A]: null } }, `workers["${A}"] must be an object`],
  ['worker_manifests.json', { workers: { [A]: {} } }, `workers["${A}"].worker_id is missing`],
  ['worker_manifests.json', withManifest({ worker_id: '' }), 'worker_id must not be empty'],
  ['worker_manifests.json', withManifest({ worker_id: 7 }), 'worker_id must be a text'],
  ['worker_manifests.json', withManifest({ required_capabilities: 'a:b' }), 'required_capabilities must be a list'],
  ['worker_manifests.json', withManifest({ required_capabilities: ['a:b', 'a'] }), '[1] must be verb:name'],
  ['worker_manifests.json', withManifest({ provided_capabilities: [7] }), 'provided_capabilities[0] must be verb:name'],
  ['worker_manifests.json', withManifest({ provided_capabilities: null }), 'provided_capabilities must be a list'],
  ['worker_manifests.json', withManifest({ provided: [] }), '.provided is unknown'],
  ['enforcement.json', { enforcment: {} }, 'enforcment is unknown'],
  ['limits.json', { limit: {} }, 'limit is unknown'],
  ['privacy.json', { privacy: { mask_reasons: true } }, 'privacy.mask_reasons is unknown'],
  ['privacy.json', { privacy: { mask_reason_messages: 'yes' } }, 'privacy.mask_reason_messages must be'],
  ['limits.json', { limits: { default: { rate: 0 } } }, 'limits.default.rate must be a number above 0'],
  ['limits.json', { limits: { default: { rate: '1' } } }, 'limits.default.rate must be a number above 0'],
  ['limits.json', { limits: { default: { burst: 1.5 } } }, 'limits.default.burst must be a whole number from 1'],
  ['limits.json', { limits: { default: { max_priority: 'urgent' } } }, 'must be one of low, normal, high'],
  ['limits.json', { limits: { identities: { '*': {} } } }, 'limits.identities["*"] must be a SPIFFE ID'],
  ['limits.json', { limits: { capabilities: { 'a:*': {} } } }, 'must be verb:name'],
  ['limits.json', { limits: { capabilities: { 'a:b': { max_priority: 'low' } } } }, 'max_priority is unknown'],
  ['enforcement.json', { enforcement: [] }, 'enforcement must be an object'],
  ['enforcement.json', { enforcement: { default: 'off' } }, 'default must be one of enforce, shadow'],
  ['enforcement.json', { enforcement: { default: null } }, 'default must be one of enforce, shadow'],
  ['enforcement.json', { enforcement: { callers: { [A]: 'Shadow' } } }, 'must be one of enforce, shadow'],
  ['enforcement.json', { enforcement: { callers: { '*': 'shadow' } } }, 'callers["*"] must be a SPIFFE ID'],
  ['enforcement.json', { enforcement: { callers: { 'spiffe://': 'shadow' } } }, 'must be a SPIFFE ID'],
  ['enforcement.json', { enforcement: { callers: { 'spiffe://a//': 'shadow' } } }, 'must be a SPIFFE ID'],
  ['enforcement.json', { enforcement: { callers: null } }, 'enforcement.callers must be an object'],
  ['enforcement.json', { enforcement: { capabilities: { 'a:*': 'shadow' } } }, 'must be verb:name'],
  ['enforcement.json', { enforcement: { overrides: {} } }, 'enforcement.overrides is unknown'],
  ['enforcement.json', { exception_limits: { max_days: 367 } }, 'max_days must be a whole number from 1 to 366'],
  ['enforcement.json', { exception_limits: { max_days: '7' } }, 'max_days must be a whole number from 1 to 366'],
  ['enforcement.json', { exception_limits: {} }, 'exception_limits.max_days is missing'],
  ['blocked.json', { blocked: { identities: [A] } }, 'blocked.identities must be an object'],
  ['blocked.json', { blocked: { identities: { a: true } } }, 'blocked.identities.a must be a SPIFFE ID'],
  ['blocked.json', { blocked: { capabilities: { 'A:b': true } } }, 'must be verb:name'],
  ['blocked.json', { identities: {} }, 'identities is unknown'],
  ['exceptions.json', [], 'must be an object'],
  ['exceptions.json', { exceptions: {} }, 'exceptions must be a SPIFFE ID'],
]

async function fitsGenerated(name: DataFileName, value: unknown): Promise<boolean> {
  const schema = JSON.parse(await readFile(schemaPath(name), 'utf8')) as object
  return new Ajv({ strict: false }).validate(schema, value)
}

describe('policy data', () => {
  test.each(REQUIRED_FILES)('of this repository fits: %s', async (name) => {
    const text = await readFile(join(POLICY_DIR, 'data', name), 'utf8')
    expect(checkPolicyData(name, parseExactJson(text), { nowMs: Date.UTC(2026, 10, 24) })).toEqual([])
    expect(await fitsGenerated(name, JSON.parse(text))).toBe(true)
  })

  test.each(GOOD)('%s may be %j', async (name, value) => {
    expect(checkPolicyData(name, value)).toEqual([])
    expect(await fitsGenerated(name, value)).toBe(true)
  })

  test.each(BAD)('%s may not be %j: %s', async (name, value, words) => {
    const faults = checkPolicyData(name, value)
    expect(faults.map(describeFault).join('\n')).toContain(words)
    expect(faults.every(({ file }) => file === name)).toBe(true)
    expect(await fitsGenerated(name, value)).toBe(false)
  })

  test('names the home of each member of data', () => {
    expect(['workers', 'enforcement', 'exception_limits', 'blocked', 'limits', 'exceptions', 'x'].map(homeOf)).toEqual([
      'worker_manifests.json',
      'enforcement.json',
      'enforcement.json',
      'blocked.json',
      'limits.json',
      'exceptions.json',
      undefined,
    ])
  })
})
