// The text of the manifest: what does not change keeps its bytes, what does is written as prettier writes it.
import fc from 'fast-check'
import { check } from 'prettier'
import { expect, test } from 'vitest'
import type { CodeWorker } from '../../src/cli/manifest/code-worker.ts'
import { compare, differencesOf, update } from '../../src/cli/manifest/compare.ts'
import { EMPTY_MANIFEST, formatManifest, parseManifest } from '../../src/cli/manifest/entries.ts'
import { parseCapability } from '../../src/core/capability.ts'
import { parseTrustDomain } from '../../src/core/spiffe-id.ts'

const FRESH = { owner: 'crank', deployedAt: '2026-11-24T00:00:00Z' }
const TRUST_DOMAIN = parseTrustDomain('crank.local')

const worker = (id: string, provided: readonly string[], required = provided): CodeWorker => ({
  id,
  place: `${id}.ts:1:1`,
  provided: provided.map(parseCapability),
  required: required.map(parseCapability),
})
const generate = (text: string, workers: readonly CodeWorker[]) => {
  const file = parseManifest(text)
  return formatManifest(file, update(compare(file, workers, TRUST_DOMAIN), FRESH))
}
const differences = (text: string, workers: readonly CodeWorker[]) =>
  compare(parseManifest(text), workers, TRUST_DOMAIN).pairs.flatMap(differencesOf)
const manifest = (entries: string) => `{\n  "workers": {\n${entries}\n  }\n}\n`

const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/)
const names = fc.uniqueArray(
  fc.tuple(word, word).map((words) => words.join(':')),
  { maxLength: 6 },
)
const workers = fc.uniqueArray(
  fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,12}$/), names, names).map(([id, a, b]) => worker(`worker-${id}`, a, b)),
  { minLength: 1, maxLength: 5, selector: ({ id }) => id },
)
const PRETTIER = { parser: 'json', semi: false, singleQuote: true, printWidth: 120 }

test('whatever the code says, prettier has nothing to change, and a second time nothing happens', async () => {
  await fc.assert(
    fc.asyncProperty(workers, workers, async (before, after) => {
      const old = generate(EMPTY_MANIFEST, before)
      const text = generate(old, after)
      expect(await check(text, PRETTIER)).toBe(true)
      expect(generate(text, after)).toBe(text)
      expect(differences(text, after)).toEqual([])
    }),
    { numRuns: 50 },
  )
})

test('the order of the workers does not matter', () => {
  fc.assert(
    fc.property(workers, (list) => {
      expect(generate(EMPTY_MANIFEST, list.toReversed())).toBe(generate(EMPTY_MANIFEST, list))
    }),
  )
})

const GO = `    "spiffe://crank.local/worker/go": {
      "worker_id": "worker-go", "required_capabilities": [  "b:b","a:a" ],
      "note": 1795514400000000001, "owner": "gr\\u00fcn"
    }`

test('an entry whose code is elsewhere keeps its text to the byte', () => {
  const text = generate(manifest(GO), [worker('worker-a', ['a:a'])])
  expect(text).toContain(`,\n${GO}\n  }\n}\n`)
  expect(differences(manifest(GO), [worker('worker-a', ['a:a'])]).map(({ kind }) => kind)).toEqual(['no_manifest'])
})

test('what people wrote into an entry stays, and a missing list comes after the other', () => {
  const entry = `    "spiffe://other.example/x": {
      "team": 1795514400000000001,
      "worker_id": "worker-a",
      "required_capabilities": ["z:z"],
      "owner": "gr\\u00fcn"
    }`
  expect(generate(manifest(entry), [worker('worker-a', ['a:a'], ['a:a', 'b:b'])])).toBe(
    manifest(`    "spiffe://other.example/x": {
      "team": 1795514400000000001,
      "worker_id": "worker-a",
      "required_capabilities": ["a:a", "b:b"],
      "provided_capabilities": ["a:a"],
      "owner": "gr\\u00fcn"
    }`),
  )
})

test('a new entry is the whole of the plan, with the given owner and time', () => {
  expect(generate(EMPTY_MANIFEST, [worker('worker-a', ['a:a'], ['a:a', 'b:b'])])).toBe(
    manifest(`    "spiffe://crank.local/worker/a": {
      "worker_id": "worker-a",
      "required_capabilities": ["a:a", "b:b"],
      "provided_capabilities": ["a:a"],
      "owner": "crank",
      "deployed_at": "2026-11-24T00:00:00Z"
    }`),
  )
})

test('each difference is named, and the order of a list is none', () => {
  const entry = `    "spiffe://crank.local/worker/a": {
      "worker_id": "worker-old",
      "required_capabilities": ["c:c", "b:b", "a:a"]
    }`
  const [about] = [{ spiffeId: 'spiffe://crank.local/worker/a', workerId: 'worker-a', place: 'worker-a.ts:1:1' }]
  expect(differences(manifest(entry), [worker('worker-a', ['a:a'], ['a:a', 'b:b', 'd:d'])])).toEqual([
    { ...about, kind: 'worker_id', found: 'worker-old' },
    { ...about, kind: 'missing', list: 'required_capabilities', capability: 'd:d' },
    { ...about, kind: 'surplus', list: 'required_capabilities', capability: 'c:c' },
    { ...about, kind: 'no_list', list: 'provided_capabilities' },
  ])
})

test.each([
  { what: 'no JSON', text: '{', reason: /the file: / },
  { what: 'no object', text: '[]', reason: /the file is not a JSON object/ },
  { what: 'no workers', text: '{}', reason: /has no "workers"/ },
  { what: 'workers that are no object', text: '{"workers":[]}', reason: /"workers" is not a JSON object/ },
  {
    what: 'an entry that is not an object',
    text: '{"workers":{"spiffe://a/b":1}}',
    reason: /entry of spiffe:\/\/a\/b/,
  },
  { what: 'a duplicate entry', text: '{"workers":{"a":{},"a":{}}}', reason: /duplicate member "a"/ },
])('$what is refused', ({ text, reason }) => {
  expect(() => parseManifest(text)).toThrow(reason)
})

test('an id that gives no SPIFFE ID needs an entry written by hand', () => {
  expect(() => generate(EMPTY_MANIFEST, [worker('classifier', ['a:a'])])).toThrow(/use worker-<name>/)
  const entry = '    "spiffe://crank.local/x": {\n      "worker_id": "classifier"\n    }'
  expect(generate(manifest(entry), [worker('classifier', ['a:a'])])).toContain('"provided_capabilities": ["a:a"]')
})

test('a SPIFFE ID whose entry belongs to another worker of the code is not taken over', () => {
  const entry = '    "spiffe://crank.local/worker/a": {\n      "worker_id": "worker-b"\n    }'
  expect(() => generate(manifest(entry), [worker('worker-a', []), worker('worker-b', [])])).toThrow(
    /it is the entry of worker-b/,
  )
})
