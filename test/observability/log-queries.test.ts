// Real log lines and audit records, labelled as Alloy with our configuration would label them, and every query that asks for
// them: read by Grafana's own grammar of LogQL, and held to what it finds.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { loadAlloyShipper, type AlloyShipper } from '../fixtures/stack/alloy-shipper.ts'
import { startLoggingMesh, type Called, type LoggingMesh } from '../fixtures/stack/logging-mesh.ts'
import { createLogStore, type Entry } from '../fixtures/stack/log-store.ts'
import { lokiQueriesOfDashboards, lokiQueriesOfLinks } from '../fixtures/stack/loki-queries.ts'
import { readText } from './files.ts'

const CONTROLLER = '{service_name="crank-controller"}'

// Starting the processes takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const loki = createLogStore()
let mesh: LoggingMesh
let alloy: AlloyShipper
let allowed: Called
let denied: Called
beforeAll(async () => {
  alloy = await loadAlloyShipper()
  mesh = await startLoggingMesh()
  allowed = await mesh.call('invoke', 'hello_world')
  denied = await mesh.call('convert', 'document_to_pdf')
  await mesh.logged(2)
  loki.push(await mesh.shipped(alloy))
})
afterAll(async () => {
  await mesh.close()
})

const member = ({ line }: Entry, name: string): unknown => (JSON.parse(line) as Record<string, unknown>)[name]
const sortedKinds = (entries: Entry[]): string[] =>
  entries.map((entry) => `${entry.labels['stream']}: ${String(member(entry, 'event'))}`).sort()

const LINES = {
  allowed: ['audit: policy_decision', 'audit: route_outcome', 'log: capability_access_allowed'],
  denied: ['audit: policy_decision', 'log: capability_access_denied'],
}

for (const [name, lines] of Object.entries(LINES)) {
  describe(`of a call that is ${name}`, () => {
    const called = (): Called => (name === 'allowed' ? allowed : denied)

    test('log lines and audit records are found by its trace and by its decision, and nothing else is', () => {
      const { answer, traceId, decisionId } = called()
      expect(answer.status).toBe(name === 'allowed' ? 200 : 403)
      for (const filter of [`trace_id="${traceId}"`, `decision_id="${decisionId}"`]) {
        const found = loki.query(`${CONTROLLER} | ${filter}`)
        expect(sortedKinds(found)).toEqual(lines)
        expect(found.map((entry) => [member(entry, 'trace_id'), member(entry, 'decision_id')])).toEqual(
          found.map(() => [traceId, decisionId]),
        )
      }
    })

    test('audit records are shipped byte for byte, at their own time', async () => {
      const found = loki.query(`{service_name="crank-controller", stream="audit"} | trace_id="${called().traceId}"`)
      const inFile = await mesh.auditLines()
      for (const entry of found) {
        expect(inFile).toContain(entry.line)
        expect(Number(entry.timestampNs / 1_000_000n)).toBe(Date.parse(member(entry, 'timestamp') as string))
      }
    })

    test("OPA's own record of the decision is found by the controller's ids", () => {
      const { traceId, decisionId } = called()
      for (const filter of [`trace_id="${traceId}"`, `decision_id="${decisionId}"`]) {
        const found = loki.query(`{service_name="opa"} | ${filter}`)
        expect(found.map((entry) => member(entry, 'result'))).toMatchObject([{ allow: name === 'allowed' }])
      }
    })

    test('every link in Grafana and in Jaeger that leads to logs finds them', async () => {
      const { traceId, decisionId } = called()
      const links = await lokiQueriesOfLinks({ traceId, decisionId, service: 'crank-controller' })
      expect(links.map(({ from }) => from)).toEqual([
        'a trace in Jaeger',
        'opa.decision_id in Jaeger',
        'a span in tempo',
        'a trace_id in loki',
        'a decision_id in loki',
        'a span in jaeger',
      ])
      for (const { expr } of links) expect(sortedKinds(loki.query(expr))).toEqual(expect.arrayContaining(lines))
    })
  })
}

test('a warning is found by its level, an audit record by its event', () => {
  expect(sortedKinds(loki.query('{service_name="crank-controller", level="warn"}'))).toEqual([
    'log: capability_access_denied',
  ])
  const outcomes = loki.query('{stream="audit", event="route_outcome"}')
  expect(outcomes.map(({ metadata }) => metadata['decision_id'])).toEqual([allowed.decisionId])
})

test('what differs from call to call is not a label: after 200 more calls there are no more streams', async () => {
  const before = loki.streams()
  const statuses: number[] = []
  // A few at a time: each has a connection of its own.
  for (let made = 0; made < 100; made += 10) {
    const calls = Array.from({ length: 10 }, (_, index) => [
      mesh.call('invoke', 'hello_world'),
      mesh.call('convert', `capability_${made + index}`),
    ]).flat()
    statuses.push(...(await Promise.all(calls)).map(({ answer }) => answer.status))
  }
  expect(statuses).toEqual(statuses.map((_, index) => (index % 2 === 0 ? 200 : 403)))
  await mesh.logged(202)
  loki.push(await mesh.shipped(alloy))
  expect(loki.query('{stream="audit", event="policy_decision"}')).toHaveLength(202)
  expect(loki.streams()).toEqual(before)
  expect(loki.labelNames()).toEqual(['event', 'level', 'service_name', 'stream'])
})

test('Alloy tells lines apart by selectors that are LogQL', async () => {
  const config = await readText('observability/alloy/config.alloy')
  const selectors = [...config.matchAll(/selector = ("(?:\\.|[^"\\])*")/g)].map(
    ([, text = '']) => JSON.parse(text) as string,
  )
  expect(selectors).toHaveLength(2)
  for (const selector of selectors) expect(loki.query(selector)).not.toEqual([])
})

describe('the dashboards', async () => {
  const queries = await lokiQueriesOfDashboards()

  test.each(queries)('ask what can be understood, of every line that is there: $from', ({ expr }) => {
    expect(() => loki.shown(expr)).not.toThrow()
  })

  test.each([
    ['one capability', 'convert:document_to_pdf', 'convert:document_to_pdf', 'convert:unheard_of'],
    ['two', 'invoke:hello_world|convert:document_to_pdf', 'convert:document_to_pdf', 'convert:unheard_of'],
    ['one that no manifest names', 'other', 'convert:unheard_of', undefined],
    ['such a one among others', 'invoke:hello_world|other', 'convert:unheard_of', undefined],
  ])(
    'show denials of %s when it is chosen or clicked',
    async (_, chosen, wanted, unwanted = 'nothing of that name') => {
      await mesh.call('convert', 'unheard_of')
      loki.push(await mesh.shipped(alloy))
      const asked = (await lokiQueriesOfDashboards({ capability: chosen, clicked: chosen })).filter(({ from }) =>
        /^(Recent denials|a link of (Denials by capability|Most denied capabilities)) /.test(from),
      )
      expect(asked).toHaveLength(3)
      for (const { expr } of asked) {
        const shown = JSON.stringify(loki.shown(expr))
        expect(shown).toContain(wanted)
        expect(shown).not.toContain(unwanted)
      }
    },
  )

  test('show the denied call, with its reason and its requester', () => {
    const shown = queries.map(({ expr }) => JSON.stringify(loki.shown(expr)))
    expect(shown.filter((text) => text.includes('"code":"capability_not_declared"'))).not.toEqual([])
    expect(
      shown.filter((text) => text.includes('spiffe://crank.local/worker/streaming convert:document_to_pdf')),
    ).not.toEqual([])
  })
})
