// observability/jaeger.yaml as the container would read it. A real Jaeger runs with it in test/stack.
import { beforeAll, describe, expect, test } from 'vitest'
import { exploreUrl } from '../../scripts/dashboards/explore.ts'
import { LOKI, TEMPO } from '../../scripts/dashboards/queries.ts'
import { commandOf, mountsOf, service, together } from '../docker/compose.ts'
import { readText, readYamlWithDefaults } from './files.ts'
import { KEPT, readJaegerLinks, type JaegerLink } from './grafana-model.ts'

type Component = Readonly<Record<string, unknown>> | null
type Kinds = 'extensions' | 'receivers' | 'processors' | 'exporters'
type Pipeline = Readonly<Record<Exclude<Kinds, 'extensions'>, readonly string[]>>
type Jaeger = Readonly<Record<Kinds, Readonly<Record<string, Component>>>> & {
  readonly service: { readonly extensions: readonly string[]; readonly pipelines: Readonly<Record<string, Pipeline>> }
}
type Badger = { directories: Record<string, string>; ephemeral: boolean; ttl: { spans: string } }

const FILE = 'observability/jaeger.yaml'
const config = await readYamlWithDefaults<Jaeger>(FILE)
const jaeger = service('jaeger', together)

describe('components', () => {
  test('that a pipeline names are defined, and all that are defined are used', () => {
    const pipelines = Object.values(config.service.pipelines)
    for (const kind of ['receivers', 'processors', 'exporters'] as const) {
      const used = new Set(pipelines.flatMap((pipeline) => pipeline[kind]))
      expect([...used].sort()).toEqual(Object.keys(config[kind]).sort())
    }
    expect([...config.service.extensions].sort()).toEqual(Object.keys(config.extensions).sort())
  })

  // Those of both 2.13, which the tests run, and 2.20, which the compose file names.
  test('are of types that this Jaeger has', () => {
    const types = (kind: Kinds): string[] => Object.keys(config[kind]).map((name) => name.split('/')[0] ?? '')
    expect(types('receivers')).toEqual(['otlp'])
    expect(types('processors').sort()).toEqual(['batch', 'filter'])
    expect(types('exporters')).toEqual(['jaeger_storage_exporter', 'otlp'])
    expect(types('extensions').sort()).toEqual(['healthcheckv2', 'jaeger_query', 'jaeger_storage'])
  })
})

describe('storage', () => {
  const { backends } = config.extensions['jaeger_storage'] as { backends: Record<string, { badger: Badger }> }
  const [[name, { badger }] = expect.fail('no storage')] = Object.entries(backends)

  test('is one place on disk, which is both written and asked', () => {
    expect(Object.keys(backends)).toEqual([name])
    expect(badger.ephemeral).toBe(false)
    expect(config.exporters['jaeger_storage_exporter']).toEqual({ trace_storage: name })
    expect(config.extensions['jaeger_query']).toMatchObject({ storage: { traces: name }, enable_tracing: false })
  })

  test('is in the folders that jaeger-init makes, on the volume that both mount', () => {
    const script = commandOf(service('jaeger-init', together).command).join()
    for (const folder of Object.values(badger.directories)) expect(script.split(' ')).toContain(folder)
    const mount = { type: 'volume', source: 'jaeger-data', target: '/badger', readOnly: false }
    for (const one of ['jaeger', 'jaeger-init']) expect(mountsOf(service(one, together))).toContainEqual(mount)
  })
})

describe('addresses', () => {
  const { otlp } = config.receivers as { otlp: { protocols: Record<string, { endpoint: string }> } }

  test('for spans and for the interface are every address of the container, on the ports that are published', () => {
    const { grpc, http } = otlp.protocols
    const { http: ui } = config.extensions['jaeger_query'] as { http: { endpoint: string } }
    const endpoints = [ui.endpoint, grpc?.endpoint, http?.endpoint]
    expect(endpoints).toEqual(['0.0.0.0:16686', '0.0.0.0:4317', '0.0.0.0:4318'])
    expect(jaeger.ports).toEqual(endpoints.map((at) => at?.replace(/^.*:(\d+)$/, '127.0.0.1:$1:$1')))
  })

  test('that only the container itself asks are loopback', () => {
    const { http: health } = config.extensions['healthcheckv2'] as { http: { endpoint: string } }
    const { grpc } = config.extensions['jaeger_query'] as { grpc: { endpoint: string } }
    expect([health.endpoint, grpc.endpoint]).toEqual(['127.0.0.1:13133', '127.0.0.1:16685'])
    expect(commandOf(jaeger.healthcheck.test).at(-1)).toBe(`http://${health.endpoint}/status`)
  })

  test('and folders are all variables, and nothing else is', async () => {
    const names = [...(await readText(FILE)).replaceAll(/#.*/g, '').matchAll(/\$\{env:(\w+):-[^}]+\}/g)].map(
      ([, name]) => name,
    )
    expect([...new Set(names)].sort()).toEqual([
      'JAEGER_BADGER_DIR',
      'JAEGER_HEALTH',
      'JAEGER_METRICS_HOST',
      'JAEGER_METRICS_PORT',
      'JAEGER_OTLP_GRPC',
      'JAEGER_OTLP_HTTP',
      'JAEGER_QUERY_GRPC',
      'JAEGER_QUERY_HTTP',
      'JAEGER_UI_CONFIG',
      'TEMPO_OTLP_GRPC',
    ])
  })

  test('are those of the container: it sets none of the variables', () => {
    expect(jaeger.environment).toEqual({})
  })
})

describe('the copy for Tempo', () => {
  type Queue = { endpoint: string; timeout: string; sending_queue: { sizer: string; queue_size: number } }
  const tempo = config.exporters['otlp/tempo'] as Queue

  test('waits in a bounded queue of its own, so that Tempo delays nothing', () => {
    expect(tempo.sending_queue).toMatchObject({ sizer: 'items', queue_size: 50_000 })
    expect(tempo.sending_queue).not.toHaveProperty('block_on_overflow')
    expect(tempo.timeout).toBe('3s')
  })

  test('goes where Tempo listens', async () => {
    const { distributor } = await readYamlWithDefaults<{
      distributor: { receivers: { otlp: { protocols: { grpc: { endpoint: string } } } } }
    }>('tempo.yaml')
    const { endpoint } = distributor.receivers.otlp.protocols.grpc
    expect(tempo.endpoint).toBe(endpoint.replace('0.0.0.0', 'tempo'))
  })
})

describe('the links of its pages', () => {
  let links: readonly JaegerLink[]
  beforeAll(async () => {
    links = await readJaegerLinks()
  })

  /** The address that Jaeger makes of a link when the page shows `value`. */
  const followed = ({ url }: JaegerLink, value: string): string =>
    url.replaceAll(/#\{[^}]+\}/g, encodeURIComponent(value))
  const inGrafana = (path: string): string => `http://127.0.0.1:3000${path}`
  const lines = (where: string): string =>
    inGrafana(exploreUrl(LOKI, { expr: `{service_name=~".+"} | ${where}`, queryType: 'range' }, KEPT))

  test('are read from where the Compose file mounts them', () => {
    const { ui } = config.extensions['jaeger_query'] as { ui: { config_file: string } }
    const mount = { type: 'bind', source: './observability/jaeger-ui.json', target: ui.config_file, readOnly: true }
    expect(mountsOf(jaeger)).toContainEqual(mount)
  })

  test('lead to the Grafana of the stack', () => {
    expect(service('grafana', together).ports).toEqual(['127.0.0.1:3000:3000'])
    expect(links.filter(({ url }) => !url.startsWith(inGrafana('/explore?')))).toEqual([])
  })

  test('lead from a trace to its lines and to its copy in Tempo', () => {
    const ofTraces = links.filter(({ type }) => type === 'traces')
    expect(ofTraces.map(({ url }) => url.match(/#\{.*?\}/g))).toEqual([['#{traceID}'], ['#{traceID}']])
    expect(ofTraces.map((link) => followed(link, 'abc'))).toEqual([
      lines('trace_id=`abc`'),
      inGrafana(exploreUrl(TEMPO, { query: 'abc', queryType: 'traceql' }, KEPT)),
    ])
  })

  // The controller's spans have the controller's id, OPA's span has OPA's own.
  test('lead from the id of a decision to its lines', async () => {
    const ofTags = links.filter(({ type }) => type === 'tags')
    expect(ofTags.map(({ key }) => key)).toEqual(['opa.decision_id'])
    expect(ofTags.map(({ url }) => new Set(url.match(/#\{.*?\}/g)))).toEqual([new Set(['#{opa.decision_id}'])])
    expect(ofTags.map((link) => followed(link, 'abc'))).toEqual([lines('decision_id=`abc` or opa_decision_id=`abc`')])
    expect(await readText('src/policy/judge.ts')).toContain("'opa.decision_id': asked.decisionId")
  })
})
