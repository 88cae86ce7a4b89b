// The memo must never change a result: policies that could tell equal questions apart are found, and for the others
// every answer is the one that evaluation gives, at each nanosecond around the end of an exception.
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createMemoPlan, memoKey } from '../../../src/cli/replay/memo.ts'
import { findReaderOfTime, hashOf, KNOWN_COMMON, type RegoSource } from '../../../src/cli/replay/memo-scan.ts'
import { readRecorded, type Recorded } from '../../../src/cli/replay/recorded.ts'
import { createRedecide } from '../../../src/cli/replay/redecide.ts'
import { createOfflineEngine } from '../../../src/policy/engine/evaluate-files.ts'
import { isCompiled } from '../../../src/policy/data/source-hash.ts'
import { createOwnKnowledge } from '../../../src/policy/ruling.ts'
import { chainLines } from '../../../scripts/tools/audit-records.ts'
import { createRandom } from '../../fixtures/policy-corpus.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { recordOf, RECORDED_NS } from '../../fixtures/replay.ts'

const LIFETIME_NS = 90n * 86_400_000_000_000n

async function sources(more: Readonly<Record<string, string>> = {}): Promise<RegoSource[]> {
  const names = (await readdir(POLICY_DIR)).filter(isCompiled)
  const own = await Promise.all(
    names.map(async (name) => ({ name, content: more[name] ?? (await readFile(join(POLICY_DIR, name), 'utf8')) })),
  )
  const added = Object.entries(more).filter(([name]) => !names.includes(name))
  return [...own, ...added.map(([name, content]) => ({ name, content }))]
}

test('common.rego is the one that the memo was made for: if it changed, see KNOWN_COMMON in memo-scan.ts', async () => {
  expect(hashOf(await readFile(join(POLICY_DIR, 'common.rego'), 'utf8'))).toBe(KNOWN_COMMON)
})

test('the policies of the repository read of a question only who and what, and time in the one known way', async () => {
  expect(findReaderOfTime(await sources())).toBeUndefined()
})

const HARMLESS = {
  'a rule about who and what':
    'package crank.capability_access\n\nimport data.crank.common\n\n_extra if startswith(common.spiffe_id, "x") # input.context\n',
  'a message with odd words': 'package crank.other\n\nx := "input.context.now_ns with data [ decision"\n',
  'its own data': 'package crank.other\n\nx := data.teams[input.identity.spiffe_id]\n',
}
test.each(Object.entries(HARMLESS))('is content with %s', async (_note, rego) => {
  expect(findReaderOfTime(await sources({ 'extra.rego': rego }))).toBeUndefined()
})

const READERS = {
  'the timestamp': 'x := input.context.timestamp',
  'the priority by another name': 'import input.context as c',
  'the context by its key': 'x := input["context"]',
  'the whole input': 'x := json.marshal(input)',
  'the input on two lines': 'x := input\n.context',
  'a walk over the input': 'x if walk(input, [["context", "now_ns"], _])',
  'the clock of common': 'x := common.now_ns > 5',
  'the clock by another import': 'import data.crank.common as c\nx := c.now_ns',
  'the clock by a full path': 'x := data.crank.common.now_ns',
  'the clock by its key': 'x := common["now_ns"]',
  'common by a full path and a key': 'x := data.crank[concat("", ["com", "mon"])]',
  'the whole of data': 'x := object.get(data, "crank", {})',
  'the id': 'x if endswith(common.decision_id, "0")',
  'the id through an object': 'y := {\n"decision_id": common.decision_id,\n}',
  'the id through the answer': 'x if some v in decision; endswith(v, "0")',
  'an exception that is moved': 'x := common.exception_state({"expires_after": 5}, common.now_ns)',
  'the exception in another way': 'x := _exception_entry\n',
  'another input': 'x := common.spiffe_id with input as {}',
  'the time of the machine': 'x := time.now_ns()',
  chance: 'x := rand.intn("a", 10)',
  'a template string': 'x := $"{input.context.now_ns}"',
}
test.each(Object.entries(READERS))('finds a policy that reads %s', async (_note, rule) => {
  const rego = `package crank.capability_access\n\nimport data.crank.common\n\n${rule}\n`
  expect(findReaderOfTime(await sources({ 'extra.rego': rego }))).toMatch(/^extra\.rego:/)
})

test('finds a file that adds to the package crank.common', async () => {
  const rego = 'package crank.common\n\nclock := 5\n'
  expect(findReaderOfTime(await sources({ 'extra.rego': rego }))).toBe(
    'extra.rego:1 it adds to the package crank.common',
  )
})

test.each(['', 'package crank.common\n'])('wants the common.rego that it knows', async (content) => {
  expect(findReaderOfTime(await sources({ 'common.rego': content }))).toBe(
    'common.rego is not the version known to this program',
  )
})

test('a clock of another length is always evaluated', () => {
  const plan = createMemoPlan('{}')
  expect(memoKey(plan, recorded({ capability: 'a:b', atNs: 5n }))).toBeUndefined()
  expect(memoKey(plan, recorded({ capability: 'a:b' }))).toBeTypeOf('string')
})

test('an end that is not a whole number is not reasoned about', () => {
  const exceptions = (expiry: string) =>
    `{"exceptions":{"spiffe://crank.local/worker/streaming":{"expires_after":${expiry}}}}`
  for (const expiry of ['1e400', '1.5', `${RECORDED_NS}.5`]) {
    expect(memoKey(createMemoPlan(exceptions(expiry)), recorded({ capability: 'a:b' }))).toBeUndefined()
  }
  expect(memoKey(createMemoPlan(exceptions('"soon"')), recorded({ capability: 'a:b' }))).toBeTypeOf('string')
})

test('gives the answer of evaluation for every question, around every turn of an exception', async () => {
  await using policy = await copyPolicies({ 'data/exceptions.json': EXCEPTIONS })
  const { decide, files } = await createOfflineEngine(policy.dir, { env: process.env, now: () => 0 })
  const own = createOwnKnowledge(() => files)
  const plain = createRedecide({ decide, own, memo: undefined })
  // A small memo, so that it is emptied on the way too.
  const memoised = createRedecide({ decide, own, memo: createMemoPlan(files.dataText), maxMemoised: 20 })
  const random = createRandom(4)
  const seen = { memoised: 0, rulings: new Set<string>() }
  for (let count = 0; count < 4000; count += 1) {
    const question = recorded({
      who: random.pick(['streaming', 'hello-world', 'all', 'some', 'ill', 'long', 'nobody']),
      capability: random.pick(['stream:text_events', 'convert:document_to_pdf', 'invoke:hello_world']),
      atNs: random.pick(MOMENTS),
    })
    const [one, other] = [await plain(question), await memoised(question)]
    expect({ ruling: other.ruling, why: other.why }).toEqual({ ruling: one.ruling, why: one.why })
    if (other.memoised) seen.memoised += 1
    seen.rulings.add(one.why)
  }
  expect(seen.memoised).toBeGreaterThan(1000)
  expect(seen.rulings).toEqual(
    new Set([
      'declared',
      'exception',
      'capability_not_declared',
      'worker_unknown',
      'exception_expired, worker_unknown',
      'exception_invalid, worker_unknown',
    ]),
  )
})

const ENDS = [RECORDED_NS, RECORDED_NS + LIFETIME_NS]
const MOMENTS = [...ENDS, ...ENDS.map((end) => end - LIFETIME_NS)].flatMap((turn) => [turn - 1n, turn, turn + 1n])

const about = '"owner":"o","reason":"r","created_at":"2026-11-23T10:00:00Z"'
const EXCEPTIONS = `{
  "spiffe://crank.local/worker/all": {"temporary_allow_all": true, "expires_after": ${ENDS[0]}, ${about.replace('11-23', '10-23')}},
  "spiffe://crank.local/worker/some": {"capabilities": ["convert:document_to_pdf"], "expires_after": ${ENDS[1]}, ${about}},
  "spiffe://crank.local/worker/ill": {"temporary_allow_all": true, "expires_after": ${ENDS[0]}, "owner": "o"},
  "spiffe://crank.local/worker/long": {"temporary_allow_all": true, "expires_after": 1e300, ${about}}
}`

function recorded({
  who = 'streaming',
  capability,
  atNs,
}: {
  who?: string
  capability: string
  atNs?: bigint
}): Recorded {
  const event = recordOf({ who, capability, decision: 'allow', ...(atNs === undefined ? {} : { atNs }) })
  const line = readRecorded(chainLines([event]).lines.trimEnd(), { from: undefined, until: undefined })
  if (typeof line === 'string') throw new Error(line)
  return line
}
