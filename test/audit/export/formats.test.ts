// The formats of an export, against what the published schemas say of each field (test/fixtures/siem-fields.ts).
import { isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { toEcs } from '../../../src/audit/export/ecs.ts'
import { toOcsf } from '../../../src/audit/export/ocsf.ts'
import { WRITERS } from '../../../src/audit/export/formats.ts'
import { createPseudonyms } from '../../../src/audit/export/pseudonyms.ts'
import type { Exported } from '../../../src/audit/export/exported.ts'
import { AUDIT_EVENTS } from '../../observability/audit-events.ts'
import * as schema from '../../fixtures/siem-fields.ts'
import { exportedForms } from './events.ts'

const plain = exportedForms()
const pseudonyms = createPseudonyms(Buffer.from('a key of at least sixteen bytes'))
const hidden: Exported[] = plain.map(({ slot, record }) => ({
  slot,
  text: undefined,
  record: pseudonyms.apply(record),
}))
const BOTH = { 'with identities': plain, 'with pseudonyms': hidden }

function faultsOfValue(path: string, value: unknown, { type, values }: schema.Shape['fields'][string]): string[] {
  if (values !== undefined && !values.includes(value as string)) return [`${path}: ${String(value)} is not allowed`]
  if (typeof type === 'object' && 'list' in type) {
    if (!Array.isArray(value)) return [`${path}: no list`]
    return value.flatMap((one) => faultsOfValue(path, one, { type: type.list }))
  }
  if (typeof type === 'object') return faultsOfObject(path, value as object, schema.OCSF_OBJECTS[type.object]!)
  const fits = {
    string: typeof value === 'string' && value !== '',
    integer: Number.isSafeInteger(value),
    boolean: typeof value === 'boolean',
    ip: isIP(String(value)) !== 0,
    any: true,
  }[type]
  return fits ? [] : [`${path}: ${String(value)} is no ${type}`]
}

function faultsOfObject(path: string, value: object, shape: schema.Shape): string[] {
  const names = Object.keys(value)
  const { fields, required = [], atLeastOne } = shape
  return [
    ...required.filter((name) => !names.includes(name)).map((name) => `${path}.${name} is missing`),
    ...(atLeastOne !== undefined && !atLeastOne.some((name) => names.includes(name))
      ? [`${path}: none of ${atLeastOne.join()}`]
      : []),
    ...Object.entries(value).flatMap(([name, one]) =>
      name in fields ? faultsOfValue(`${path}.${name}`, one, fields[name]!) : [`${path}.${name} is not in the schema`],
    ),
  ]
}

function ocsfFaults(event: Record<string, unknown>): string[] {
  const {
    class_uid: classUid,
    activity_id: activity,
    metadata,
  } = event as { class_uid: number; activity_id: number; metadata: { profiles?: string[]; version: string } }
  const shape = schema.OCSF_CLASSES[classUid]
  if (shape === undefined) return [`${classUid} is no class`]
  const profiled = metadata.profiles?.includes('security_control') === true ? schema.SECURITY_CONTROL : {}
  const derived =
    event['type_uid'] === classUid * 100 + activity && event['category_uid'] === Math.floor(classUid / 1000)
  return [
    ...faultsOfObject(String(classUid), event, { ...shape, fields: { ...shape.fields, ...profiled } }),
    ...(derived ? [] : ['type_uid or category_uid does not follow from the class']),
    ...(metadata.version === schema.OCSF_VERSION ? [] : ['another version']),
  ]
}

function ecsFaults(value: unknown, path = ''): string[] {
  const field = schema.ECS_FIELDS[path]
  if (field !== undefined) return faultsOfValue(path, value, field)
  // Our own, which ECS leaves to us.
  if (path === 'crank') return []
  if (typeof value !== 'object' || value === null) return [`${path} is not in the schema`]
  return Object.entries(value).flatMap(([name, one]) => ecsFaults(one, path === '' ? name : `${path}.${name}`))
}

describe('OCSF', () => {
  for (const [what, forms] of Object.entries(BOTH)) {
    test(`every form of every event is an event of its class, ${what}`, () => {
      expect(forms.flatMap((form) => ocsfFaults(toOcsf(form)))).toEqual([])
    })
  }

  test('the check of this test finds faults', () => {
    const event = toOcsf(plain[0]!)
    const broken = { ...event, api: {}, status_id: 7, more: 1 }
    expect(ocsfFaults(broken)).toHaveLength(3)
    expect(ocsfFaults({ ...event, metadata: { version: '1.8.0', product: {} } }).length).toBeGreaterThan(2)
  })

  test('a denial: API Activity, failed, denied by the policy of that revision, of that caller', () => {
    const [denial] = exportedForms([AUDIT_EVENTS.policy_decision])
    expect(toOcsf(denial!)).toMatchObject({
      class_uid: 6003,
      type_uid: 600399,
      status_id: 2,
      action_id: 2,
      disposition_id: 2,
      status_code: 'capability_not_declared',
      actor: { user: { uid: 'spiffe://crank.local/worker/streaming', domain: 'crank.local', type_id: 4 } },
      api: { operation: 'invoke:hello_world' },
      authorizations: [{ decision: 'deny', policy: { uid: 'r1' } }],
      metadata: { uid: '3-1', sequence: 1, correlation_uid: 'a'.repeat(32) },
      raw_data: denial!.text,
    })
  })

  test('the classes of the other events', () => {
    const classes = exportedForms(Object.values(AUDIT_EVENTS)).map((form) => [
      form.record.event,
      toOcsf(form)['type_uid'],
    ])
    expect(Object.fromEntries(classes)).toMatchObject({
      route_outcome: 600399,
      worker_registration: 600301,
      worker_evicted: 600304,
      request_refused: 600399,
      identity_refused: 300201,
      handshake_refused: 400105,
      controller_started: 600203,
      controller_stopped: 600204,
      policy_changed: 600208,
      worker_drain_changed: 600207,
      audit_repaired: 600299,
    })
  })

  test('a summary has its count and its second', () => {
    const [summary] = exportedForms([{ ...AUDIT_EVENTS.identity_refused, count: 7 }])
    const event = toOcsf(summary!)
    expect(event).toMatchObject({ count: 7, duration: 1000, start_time: event['time'] })
  })
})

describe('ECS', () => {
  for (const [what, forms] of Object.entries(BOTH)) {
    test(`every form of every event has fields of the schema only, ${what}`, () => {
      const events = forms.map(toEcs)
      expect(events.flatMap((event) => ecsFaults(event))).toEqual([])
      const versions = new Set(events.map(({ ecs }) => (ecs as { version: string }).version))
      expect([...versions]).toEqual([schema.ECS_VERSION])
    })

    test(`each type is one that its category expects, ${what}`, () => {
      const unexpected = forms
        .map((form) => toEcs(form)['event'] as { category: [string]; type: string[] })
        .flatMap(({ category: [category], type }) =>
          type
            .filter((one) => schema.ECS_CATEGORIES[category]?.includes(one) !== true)
            .map((one) => `${category}: ${one}`),
        )
      expect(unexpected).toEqual([])
    })
  }

  test('a denial is found by what an analyst searches for', () => {
    const [denial] = exportedForms([AUDIT_EVENTS.policy_decision])
    expect(toEcs(denial!)).toMatchObject({
      '@timestamp': denial!.record.timestamp,
      event: {
        action: 'policy_decision',
        category: ['api'],
        type: ['access', 'denied'],
        outcome: 'failure',
        code: 'capability_not_declared',
        sequence: 1,
        hash: denial!.record.hash,
        original: denial!.text,
      },
      user: { id: 'spiffe://crank.local/worker/streaming', domain: 'crank.local' },
      trace: { id: 'a'.repeat(32) },
      span: { id: 'b'.repeat(16) },
      crank: { capability: 'invoke:hello_world', decision: 'deny', slot: 3 },
    })
  })

  test('what passes in shadow mode is allowed, and its outcome is not a failure', () => {
    const [passed] = exportedForms([{ ...AUDIT_EVENTS.policy_decision, decision: 'would_deny' } as AuditEvent])
    expect(toEcs(passed!)['event']).toMatchObject({ type: ['access', 'allowed'], outcome: 'success' })
  })
})

describe('CSV', () => {
  const rows = (forms: readonly Exported[]): string[] => forms.map((form) => WRITERS.csv.line(form))

  test('every row has the columns of the header and ends with CR LF', () => {
    const columns = WRITERS.csv.header.trimEnd().split(',').length
    for (const row of rows(plain)) {
      expect(row.endsWith('\r\n')).toBe(true)
      // A comma in a cell stands between quotes.
      expect(row.replace(/"(?:[^"]|"")*"/g, '').split(',')).toHaveLength(columns)
    }
  })

  const CELLS: Readonly<Record<string, string>> = {
    '=HYPERLINK("http://x")': `"'=HYPERLINK(""http://x"")"`,
    '+1': `"'+1"`,
    '-1+1': `"'-1+1"`,
    '@SUM(A1)': `"'@SUM(A1)"`,
    '\t=1': String.raw`"'\t=1"`,
    'a, "b"': '"a, ""b"""',
    'a\r\nb': String.raw`a\r\nb`,
    'a\u001b[31mb': String.raw`a\u001b[31mb`,
  }
  for (const [text, cell] of Object.entries(CELLS)) {
    test(`${JSON.stringify(text)} is text in a spreadsheet`, () => {
      const [form] = exportedForms([{ ...AUDIT_EVENTS.request_refused, reason: text }])
      expect(rows([form!])[0]).toContain(`,${cell},`)
    })
  }
})

describe('JSON lines', () => {
  test('are the unchanged lines', () => {
    expect(plain.map((form) => WRITERS.jsonl.line(form))).toEqual(plain.map(({ text }) => `${text}\n`))
  })
})

describe('pseudonyms', () => {
  const all = hidden.map((form) => WRITERS.jsonl.line(form)).join('')
  const NAMES =
    /worker\/(?:streaming|new|blocked)|worker-streaming|worker-a\b|localhost|127\.0\.0\.1|::1"|Ada|not authorized/

  test('nothing that names somebody is left, in no format', () => {
    for (const { line } of Object.values(WRITERS)) expect(hidden.map(line).join('')).not.toMatch(NAMES)
    expect(plain.map(({ text }) => text).join('')).toMatch(NAMES)
  })

  test('the same identity has the same pseudonym, in its trust domain; another has another', () => {
    const idOf = (form: Exported): unknown => form.record['requester_spiffe_id']
    const ids = hidden.map(idOf).filter((id) => typeof id === 'string')
    expect(new Set(ids).size).toBe(2)
    for (const id of ids) expect(id).toMatch(/^spiffe:\/\/crank\.local\/pseudonym\/[0-9a-f]{32}$/)
    const origins = hidden.map(({ record }) => record['origin']).filter((origin) => typeof origin === 'string')
    expect(ids).toEqual(expect.arrayContaining(origins))
  })

  test('another key gives other pseudonyms, and each export says which key it had', () => {
    const other = createPseudonyms(Buffer.from('another key of sixteen bytes')).apply(plain[0]!.record)
    const mine = hidden[0]!.record
    for (const name of ['requester_spiffe_id', 'pseudonym_key']) expect(other[name]).not.toBe(mine[name])
  })

  test('no hash of a record is left, in no format, since a guess could be tested with it', () => {
    for (const { line } of Object.values(WRITERS)) {
      expect(hidden.map(line).join('')).not.toMatch(/\b(?!0{64})[0-9a-f]{64}\b|"(?:\w+_)?hash"|"prev"/)
    }
  })

  test('codes, capabilities and times stay', () => {
    expect(hidden[0]!.record).toMatchObject({
      seq: 1,
      capability: 'invoke:hello_world',
      reasons: [{ code: 'capability_not_declared', message: 'removed' }],
      timestamp: plain[0]!.record.timestamp,
    })
    expect(all).toContain('"names":["+spiffe://crank.local/pseudonym/')
    expect(all).toContain('-stream:text_events')
    expect(all).toContain('"reason":"busy"')
    expect(all).toContain('"reason":"renamed"')
  })
})
