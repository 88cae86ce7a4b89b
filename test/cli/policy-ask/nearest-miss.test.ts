// What an answer was near to, and what would change it: a table over one small set of policy data.
import { describe, expect, test } from 'vitest'
import { registrationChanges } from '../../../src/cli/policy-ask/change.ts'
import { parseKnowledge } from '../../../src/cli/policy-ask/knowledge.ts'
import { nearestMiss, type Said } from '../../../src/cli/policy-ask/nearest-miss.ts'
import { parseCapability } from '../../../src/core/capability.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const ID = 'spiffe://crank.local/worker'
const lasting = { reason: 'r', owner: 'ann', created_at: '2026-11-01T00:00:00Z' }
const DATA = {
  workers: {
    [`${ID}/streaming`]: {
      worker_id: 'worker-streaming',
      required_capabilities: ['stream:text_events', 'invoke:hello_world'],
      provided_capabilities: ['stream:text_events', 'stream:sse_events'],
    },
    [`${ID}/converter`]: {
      worker_id: 'worker-converter',
      required_capabilities: ['convert:document_to_pdf'],
      provided_capabilities: ['convert:document_to_pdf'],
    },
  },
  exceptions: {
    [`${ID}/legacy`]: { temporary_allow_all: true, expires_after: 'AT', ...lasting },
    [`${ID}/streaming`]: { capabilities: ['convert:html_to_pdf'], expires_after: 'AT', ...lasting },
    [`${ID}/broken`]: { temporary_allow_all: true, expires_after: 'AT', ...lasting, owner: '' },
  },
  blocked: { identities: { [`${ID}/bad`]: 'key was lost' }, capabilities: { 'drop:everything': null } },
}
const dataText = JSON.stringify(DATA).replaceAll('"AT"', '1796083200123456789')
const KNOWN = await parseKnowledge({ policyDir: '/p', revision: 'r', dataText })

const denied = (...codes: string[]): Said => ({
  decision: 'deny',
  grounds: [],
  exception: null,
  reasons: codes.map((code) => ({ code })),
})
const look = (who: string, capability: string, said: Said) =>
  nearestMiss({ spiffeId: parseSpiffeId(who), capability: parseCapability(capability) }, said, KNOWN)

type Row = readonly [
  what: string,
  who: string,
  capability: string,
  said: Said,
  misses: readonly string[],
  change: string,
]
const NOT_DECLARED = denied('capability_not_declared')
const UNKNOWN = denied('worker_unknown')
const DECLARES = 'the manifest of worker-streaming declares stream:text_events'

const rows: readonly Row[] = [
  [
    'a capability one letter off',
    `${ID}/streaming`,
    'stream:text_event',
    NOT_DECLARED,
    [
      `${DECLARES} (one letter off)`,
      'no manifest names stream:text_event',
      'its exception covers only convert:html_to_pdf',
    ],
    'call stream:text_events, if you meant this capability',
  ],
  [
    'a capability with two neighbours swapped',
    `${ID}/streaming`,
    'stream:text_evenst',
    NOT_DECLARED,
    [
      `${DECLARES} (one letter off)`,
      'no manifest names stream:text_evenst',
      'its exception covers only convert:html_to_pdf',
    ],
    'call stream:text_events, if you meant this capability',
  ],
  [
    'a capability two letters off',
    `${ID}/streaming`,
    'stream:txt_event',
    NOT_DECLARED,
    [
      `${DECLARES} (two letters off)`,
      'no manifest names stream:txt_event',
      'its exception covers only convert:html_to_pdf',
    ],
    'call stream:text_events, if you meant this capability',
  ],
  [
    'a capability with another verb',
    `${ID}/streaming`,
    'convert:text_events',
    NOT_DECLARED,
    [
      `${DECLARES} (another verb)`,
      'no manifest names convert:text_events',
      'its exception covers only convert:html_to_pdf',
    ],
    'call stream:text_events, if you meant this capability',
  ],
  [
    "somebody else's capability",
    `${ID}/converter`,
    'stream:text_events',
    NOT_DECLARED,
    ['capability known, provided by worker-streaming, required by worker-streaming'],
    "declare stream:text_events in the worker's code, then in its manifest",
  ],
  [
    'a capability that nobody provides',
    `${ID}/converter`,
    'invoke:hello_world',
    NOT_DECLARED,
    ['capability known, provided by no worker, required by worker-streaming'],
    "declare invoke:hello_world in the worker's code, then in its manifest",
  ],
  [
    "somebody else's capability, one letter off",
    `${ID}/converter`,
    'invoke:helo_world',
    NOT_DECLARED,
    ['no manifest names invoke:helo_world; did you mean invoke:hello_world?'],
    'call invoke:hello_world, if you meant this capability',
  ],
  [
    'a capability like no other',
    `${ID}/converter`,
    'sing:aria',
    NOT_DECLARED,
    ['no manifest names sing:aria'],
    "declare sing:aria in the worker's code, then in its manifest",
  ],
  [
    'a capability that the worker provides itself',
    `${ID}/streaming`,
    'stream:sse_events',
    NOT_DECLARED,
    [
      'the worker provides stream:sse_events itself, but its manifest does not require it',
      'its exception covers only convert:html_to_pdf',
    ],
    "declare stream:sse_events in the worker's code, then in its manifest",
  ],
  [
    'an identity one letter off',
    `${ID}/streamin`,
    'stream:text_events',
    UNKNOWN,
    [
      `unknown identity; similar to ${ID}/streaming (one letter off), which declares stream:text_events`,
      'capability known, provided by worker-streaming, required by worker-streaming',
    ],
    `use the identity ${ID}/streaming, if you meant this worker`,
  ],
  [
    'an identity in upper case',
    `${ID}/Streaming`,
    'sing:aria',
    UNKNOWN,
    [`unknown identity; similar to ${ID}/streaming (upper and lower case differ)`, 'no manifest names sing:aria'],
    `use the identity ${ID}/streaming, if you meant this worker`,
  ],
  [
    'an identity of another trust domain',
    'spiffe://other.org/worker/streaming',
    'sing:aria',
    UNKNOWN,
    [`unknown identity; similar to ${ID}/streaming (same path, other trust domain)`, 'no manifest names sing:aria'],
    `use the identity ${ID}/streaming, if you meant this worker`,
  ],
  [
    'an identity in another folder',
    'spiffe://crank.local/streaming',
    'sing:aria',
    UNKNOWN,
    [`unknown identity; similar to ${ID}/streaming (same name, other path)`, 'no manifest names sing:aria'],
    `use the identity ${ID}/streaming, if you meant this worker`,
  ],
  [
    'an identity like no other',
    `${ID}/x`,
    'sing:aria',
    UNKNOWN,
    ['unknown identity: no manifest or exception names it or a similar one', 'no manifest names sing:aria'],
    'give the worker a manifest that requires sing:aria',
  ],
  [
    'an exception that is over',
    `${ID}/legacy`,
    'sing:aria',
    { ...denied('exception_expired', 'worker_unknown'), exception: `${ID}/legacy#*` },
    [
      'an exception covered this until 2026-12-01T00:00:00.123456789Z (owner ann)',
      'the identity has no manifest, only an exception',
      'no manifest names sing:aria',
    ],
    'let it pass for a limited time',
  ],
  [
    'an exception that is over and gone from the data',
    `${ID}/converter`,
    'sing:aria',
    { ...denied('exception_expired'), exception: `${ID}/converter#*` },
    ['an exception covered this'],
    'let it pass for a limited time',
  ],
  [
    'an exception with a fault',
    `${ID}/broken`,
    'sing:aria',
    { ...denied('exception_invalid'), exception: `${ID}/broken#*` },
    [`its exception has no effect: ["${ID}/broken"].owner must not be empty`],
    'let it pass for a limited time',
  ],
  [
    'a blocked identity',
    `${ID}/bad`,
    'sing:aria',
    denied('identity_blocked'),
    [`${ID}/bad is on the block list, which takes precedence over manifests and exceptions: "key was lost"`],
    'remove it from the block list, once the reason no longer applies',
  ],
  [
    'a blocked capability',
    `${ID}/streaming`,
    'drop:everything',
    denied('capability_blocked'),
    ['drop:everything is on the block list, which takes precedence over manifests and exceptions'],
    'remove it from the block list, once the reason no longer applies',
  ],
]

describe('a denial is explained by its nearest miss:', () => {
  for (const [what, who, capability, said, misses, change] of rows) {
    test(what, () => {
      const nearest = look(who, capability, said)
      expect(nearest.misses).toEqual(misses)
      expect(nearest.changes[0]?.what).toBe(change)
    })
  }
})

describe('a change names', () => {
  const changeOf = (what: RegExp, who: string, capability: string, said: Said) =>
    look(who, capability, said).changes.find((change) => what.test(change.what))

  test('the list of the manifest, and the generator', () => {
    expect(changeOf(/declare/, `${ID}/converter`, 'sing:aria', NOT_DECLARED)).toMatchObject({
      file: 'worker_manifests.json',
      path: `workers["${ID}/converter"].required_capabilities`,
      command: 'crank manifest generate',
    })
  })

  test('the whole manifest where there is none', () => {
    expect(changeOf(/manifest/, `${ID}/x`, 'sing:aria', UNKNOWN)).toMatchObject({
      path: `workers["${ID}/x"]`,
      command: `crank manifest add x --spiffe-id ${ID}/x --requires sing:aria`,
    })
  })

  test('the exception, and the command that grants it', () => {
    expect(changeOf(/limited time/, `${ID}/converter`, 'sing:aria', NOT_DECLARED)).toMatchObject({
      file: 'exceptions.json',
      path: `["${ID}/converter"]`,
      command: `crank exception grant --who ${ID}/converter --cap sing:aria --for 14d --reason <why> --owner <who>`,
    })
  })

  test('the entry of the block list', () => {
    expect(changeOf(/block list/, `${ID}/bad`, 'sing:aria', denied('identity_blocked'))).toMatchObject({
      file: 'blocked.json',
      path: `blocked.identities["${ID}/bad"]`,
    })
  })

  test('nothing twice', () => {
    const said = { ...denied('exception_expired', 'capability_not_declared'), exception: `${ID}/converter#*` }
    const whats = look(`${ID}/converter`, 'sing:aria', said).changes.map(({ what }) => what)
    expect(whats).toEqual([...new Set(whats)])
  })
})

describe('an allow hangs on', () => {
  const allowed = (grounds: string[], exception: string | null): Said => {
    return { decision: 'allow', grounds, exception, reasons: [] }
  }

  test('nothing, when it is declared and provided', () => {
    expect(look(`${ID}/streaming`, 'stream:text_events', allowed(['declared'], null))).toEqual({
      misses: [],
      changes: [],
    })
  })

  test('a provider', () => {
    const { misses } = look(`${ID}/streaming`, 'invoke:hello_world', allowed(['declared'], null))
    expect(misses).toEqual(['no manifest provides it: a call finds no worker'])
  })

  test('the exception that covers it, until that ends', () => {
    const said = allowed(['exception'], `${ID}/legacy#*`)
    const { misses, changes } = look(`${ID}/legacy`, 'convert:document_to_pdf', said)
    expect(misses).toEqual(['allowed only by an exception, which expires 2026-12-01T00:00:00.123456789Z (owner ann)'])
    expect(changes.map(({ path }) => path)).toEqual([`workers["${ID}/legacy"]`])
  })
})

test('a reason of an unknown code has its own sentence only', () => {
  expect(look(`${ID}/streaming`, 'sing:aria', denied('after_hours'))).toEqual({ misses: [], changes: [] })
  expect(look(`${ID}/streaming`, 'sing:aria', denied('constructor'))).toEqual({ misses: [], changes: [] })
})

test('without a decision there is nothing to explain', () => {
  expect(look(`${ID}/streaming`, 'sing:aria', { ...denied(), decision: null })).toEqual({ misses: [], changes: [] })
})

test('a refused registration names the member of the manifest, by each reason that has one', () => {
  const codes = ['worker_unknown', 'worker_id_mismatch', 'provided_capabilities_missing', 'capability_not_provided']
  expect(registrationChanges(`${ID}/x`, [...codes, 'identity_blocked', 'toString']).map(({ path }) => path)).toEqual([
    `workers["${ID}/x"]`,
    `workers["${ID}/x"].worker_id`,
    `workers["${ID}/x"].provided_capabilities`,
    `workers["${ID}/x"].provided_capabilities`,
    `blocked.identities["${ID}/x"]`,
  ])
})
