// The data sources and the links between them, as Grafana would read them, held against what the mesh really writes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exploreUrl } from '../../scripts/dashboards/explore.ts'
import { JAEGER, LOKI } from '../../scripts/dashboards/queries.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { exportedMetrics } from '../fixtures/exported-metrics.ts'
import { createParties, postJson, STREAMING, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readText, readYaml } from './files.ts'
import { KEPT, readExploreLink, readSources, textsOf, type Source } from './grafana-model.ts'
import { readLogql } from './logql.ts'
import { readPromql } from './promql.ts'
import { auditText } from '../fixtures/audit-log.ts'

/** Structured metadata that Alloy sets; no label may have such a value. */
const METADATA = ['trace_id', 'span_id', 'decision_id', 'opa_decision_id']
const OF_TEMPO = new Set(['traces_spanmetrics_calls_total', 'traces_spanmetrics_latency_bucket'])

type Exemplars = { name: string; datasourceUid?: string; url?: string }[]
type ToLogs = { datasourceUid: string; customQuery: boolean; query: string; tags?: { key: string; value: string }[] }
type ToMetrics = {
  datasourceUid: string
  tags: { key: string; value: string }[]
  queries: { name: string; query: string }[]
}
type Derived = { name: string; matcherType: string; matcherRegex: string; url: string; datasourceUid?: string }[]
type Links = {
  exemplarTraceIdDestinations: Exemplars
  tracesToLogsV2: ToLogs
  tracesToMetrics: ToMetrics
  derivedFields: Derived
  streamingEnabled: object
}

const written = await readSources()
const sources = JSON.parse(JSON.stringify(written).replaceAll('$$', '$')) as readonly Source[]
const linksOf = (uid: string): Links => sources.find((source) => source.uid === uid)?.jsonData as unknown as Links

describe('the data sources', () => {
  test('have the uids that everything else names', () => {
    expect(sources.map(({ uid, type }) => [uid, type])).toEqual(
      ['prometheus', 'tempo', 'loki', 'jaeger'].map((name) => [name, name]),
    )
    expect(sources.map(({ access, editable }) => ({ access, editable }))).toEqual(
      sources.map(() => ({ access: 'proxy', editable: false })),
    )
  })

  test('are services of the Compose file', async () => {
    const { services } = await readYaml<{ services: object }>('docker-compose.observability.yml')
    expect(sources.map(({ url }) => new URL(url).hostname).filter((host) => !(host in services))).toEqual([])
  })

  // Grafana would put an environment variable there, mostly an empty one.
  test('have no single dollar sign', () => {
    const texts = textsOf(written).map(({ text }) => text)
    expect(texts.filter((text) => text.includes('$$')).length).toBeGreaterThan(5)
    expect(texts.filter((text) => text.replaceAll('$$', '').includes('$'))).toEqual([])
  })

  test('lead to data sources that there are', () => {
    const named = textsOf(sources).filter(({ key }) => key === 'datasourceUid')
    const uids = sources.map(({ uid }) => uid)
    expect(named.length).toBeGreaterThan(6)
    expect(named.filter(({ text }) => !uids.includes(text))).toEqual([])
  })
})

describe('an exemplar', () => {
  const { exemplarTraceIdDestinations: destinations } = linksOf('prometheus')

  test('is known by the label that the controller and Tempo give it', async () => {
    expect(await readText('src/controller/metrics/metrics.ts')).toContain(
      '{ trace_id: trace.traceId, span_id: trace.spanId }',
    )
    expect(await readText('tempo.yaml')).toMatch(/trace_id_label_name: trace_id\b/)
    expect(new Set(destinations.map(({ name }) => name))).toEqual(new Set(['trace_id']))
  })

  test('leads to its trace in Tempo and in Jaeger', () => {
    const url = exploreUrl(JAEGER, { query: '${__value.raw}' }, KEPT)
    expect(destinations).toMatchObject([{ datasourceUid: 'tempo' }, { url }])
    // With a queryType, Jaeger's data source would not look the trace up.
    expect(readExploreLink(url, 'abc')).toMatchObject({ datasource: 'jaeger', query: { query: 'abc' } })
    expect(readExploreLink(url, 'abc').query).not.toHaveProperty('queryType')
  })
})

describe('a span', () => {
  test.each(['tempo', 'jaeger'])('in %s leads to its lines in Loki', (uid) => {
    const { datasourceUid, customQuery, query } = linksOf(uid).tracesToLogsV2
    expect({ datasourceUid, customQuery }).toEqual({ datasourceUid: 'loki', customQuery: true })
    const { stream, used } = readLogql(filled(query))
    expect(Object.keys(stream)).toEqual(['service_name'])
    expect(used).toEqual(['trace_id'])
  })

  test('in Tempo is matched by its service, in Jaeger by its trace alone', () => {
    expect(linksOf('tempo').tracesToLogsV2.tags).toEqual([{ key: 'service.name', value: 'service_name' }])
    expect(linksOf('tempo').tracesToLogsV2.query).toContain('${__tags}')
    expect(linksOf('jaeger').tracesToLogsV2.query).not.toContain('${__tags}')
  })

  test.each(['tempo', 'jaeger'])('in %s leads to metrics that exist', async (uid) => {
    const exported = await exportedMetrics()
    const { datasourceUid, queries, tags } = linksOf(uid).tracesToMetrics
    const metrics = queries.flatMap(({ query }) => readPromql(filled(query)).selectors.map(({ metric }) => metric))
    expect(datasourceUid).toBe('prometheus')
    expect(queries.filter(({ query }) => !query.includes('{$__tags'))).toEqual([])
    expect(metrics.length).toBe(queries.length)
    expect(metrics.filter((metric) => !exported.has(metric) && !OF_TEMPO.has(metric))).toEqual([])
    expect(tags).toHaveLength(1)
  })

  test('shows an attribute that our spans have', async () => {
    const route = await readText('src/controller/routes/route.ts')
    expect(textsOf(sources).filter(({ key }) => key === 'tag')).toMatchObject([{ text: 'crank.capability' }, {}])
    expect(route).toContain("'crank.capability'")
  })

  test('is searched as Tempo allows it', async () => {
    expect(linksOf('tempo').streamingEnabled).toEqual({ search: true, metrics: true })
    expect(await readYaml('tempo.yaml')).toMatchObject({ stream_over_http_enabled: true })
  })
})

describe('a line', () => {
  const { derivedFields } = linksOf('loki')
  let parties: Parties
  let controller: ControllerProcess
  let lines: Record<string, unknown>[]
  beforeAll(async () => {
    parties = await createParties()
    const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
    controller = await startControllerProcess(env)
    const denied = postJson('/route', { verb: 'convert', capability: 'document_to_pdf' })
    const { status } = await parties.request(controller.origin, STREAMING, denied)
    expect(status).toBe(403)
    const logLine = (): string | undefined => controller.lines.find((line) => line.includes('capability_access_denied'))
    await until('the denial is logged', () => logLine() !== undefined)
    const audit = await auditText(parties.auditLog)
    const record = audit.find((line) => line.includes('"event":"policy_decision"'))
    lines = [logLine(), record].map((line) => JSON.parse(line ?? '') as Record<string, unknown>)
  })
  afterAll(async () => {
    controller.child.kill('SIGKILL')
    await parties.close()
  })

  test('is matched by one name that Alloy gives it, and a log line and an audit record have it', async () => {
    const alloy = await readText('observability/alloy/config.alloy')
    expect(METADATA.filter((name) => !new RegExp(`structured_metadata[^}]*\\b${name}\\b`).test(alloy))).toEqual([])
    for (const { matcherType, matcherRegex, name } of derivedFields) {
      const regex = new RegExp(matcherRegex)
      expect(matcherType).toBe('label')
      expect(METADATA.filter((key) => regex.test(key))).toEqual([name])
      expect(lines.map((line) => typeof line[name])).toEqual(['string', 'string'])
    }
  })

  test('has the same ids in the log and in the audit record, fit for an address', () => {
    const [log, record] = lines
    for (const { name } of derivedFields) expect(log?.[name]).toBe(record?.[name])
    expect(log?.['trace_id']).toMatch(/^[0-9a-f]{32}$/)
    expect(log?.['decision_id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(log?.['service']).toBe('crank-controller')
  })

  test('leads to its trace in Tempo and in Jaeger', () => {
    const toTraces = derivedFields.filter(({ datasourceUid }) => datasourceUid !== undefined)
    expect(toTraces).toMatchObject([
      { name: 'trace_id', datasourceUid: 'tempo', url: '${__value.raw}' },
      { name: 'trace_id', datasourceUid: 'jaeger', url: '${__value.raw}' },
    ])
  })

  // By address: by datasourceUid Grafana would hand Loki a query of another shape.
  test.each(['trace_id', 'decision_id'])('leads to all lines with its %s', (id) => {
    const expr = `{service_name=~".+"} | ${id}=\`\${__value.raw}\``
    const link = derivedFields.find(({ name, datasourceUid }) => name === id && datasourceUid === undefined)
    expect(link?.url).toBe(exploreUrl(LOKI, { expr, queryType: 'range' }, KEPT))
  })
})

describe('the dashboards', () => {
  test('are read from where the Compose file mounts them', async () => {
    type Service = { volumes: string[] }
    const { services } = await readYaml<{ services: { grafana: Service } }>('docker-compose.observability.yml')
    const { providers } = await readYaml<{ providers: { options: { path: string } }[] }>(
      'grafana/provisioning/dashboards/crank.yml',
    )
    expect(providers.map(({ options }) => `./grafana/dashboards:${options.path}:ro`)).toEqual([
      expect.toSatisfy((mount: string) => services.grafana.volumes.includes(mount)),
    ])
    expect(services.grafana.volumes).toContain('./grafana/provisioning:/etc/grafana/provisioning:ro')
  })
})

/** A query with something in the place of Grafana's variables. */
function filled(query: string): string {
  return query.replace(/\$\{__tags\}|\$__tags/g, 'service_name="x"').replace(/\$\{.*?\}/g, 'x')
}
