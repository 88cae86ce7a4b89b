// promtool on our configuration, rules and alerts; and a real Prometheus with them, beside controllers at work.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { expressionsOf, withoutVariables, type AskingDashboard } from '../../scripts/dashboards/expressions.ts'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { ROOT } from '../docker/compose.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { freePort } from '../../scripts/lab/free-port.ts'
import { startMesh, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { startOtlpReceiver, type OtlpReceiver } from '../../scripts/lab/otlp-receiver.ts'
import { createParties, postJson, STREAMING, type Parties } from '../fixtures/parties.ts'
import { startPrometheus, type Alert, type Prometheus } from '../fixtures/stack/prometheus.ts'
import { filesIn, FOLDER, readAlerts, readRecordings } from '../observability/prometheus-files.ts'

const PATIENCE = { timeout: 60_000 }

describe('promtool', () => {
  const promtool = async (cwd: string, ...args: string[]) => run(await findTool('promtool'), args, { cwd })
  const ours = join(ROOT, FOLDER)
  /** A copy of our folder with one change in one file. */
  const broken = async (file: string, from: string, to: string): Promise<string> => {
    const dir = await mkdtemp(join(tmpdir(), 'crank-promtool-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    await cp(ours, dir, { recursive: true })
    const text = await readFile(join(dir, file), 'utf8')
    expect(text).toContain(from)
    await writeFile(join(dir, file), text.replace(from, to))
    return dir
  }

  test('accepts the configuration with the rules that it names', async () => {
    const { code, stdout } = await promtool(ours, 'check', 'config', '--lint=all', '--lint-fatal', 'prometheus.yml')
    expect(code).toBe(0)
    expect(stdout).toContain('prometheus.yml is valid prometheus config file syntax')
    const found = [...stdout.matchAll(/SUCCESS: (\d+) rules found/g)].map(([, count]) => Number(count))
    expect(found).toHaveLength((await filesIn('rules')).length + (await filesIn('alerts')).length)
    const all = (await readAlerts()).length + (await readRecordings()).length
    expect(found.reduce((sum, count) => sum + count)).toBe(all)
  })

  test('accepts the rules and alerts', async () => {
    const files = [...(await filesIn('rules')), ...(await filesIn('alerts'))]
    expect(await promtool(ours, 'check', 'rules', '--lint=all', '--lint-fatal', ...files)).toMatchObject({ code: 0 })
  })

  test('finds every alert to do what its unit tests say', async () => {
    const { code, stdout, stderr } = await promtool(ours, 'test', 'rules', ...(await filesIn('tests')))
    expect({ code, said: stdout + stderr }).toEqual({ code: 0, said: expect.not.stringContaining('FAILED') as string })
  })

  test.for([
    ['prometheus.yml', 'scrape_configs:', 'scrape_config:', ['check', 'config', 'prometheus.yml']],
    ['alerts/crank.alerts.yml', 'up{job="opa"} == 0', 'up{job="opa"} == ', ['check', 'config', 'prometheus.yml']],
    [
      'rules/crank.rules.yml',
      'decision="deny"}[5m]))',
      'decision="deny"}[5m])',
      ['check', 'rules', 'rules/crank.rules.yml'],
    ],
    [
      'alerts/crank.alerts.yml',
      'controller_svid_lifetime_seconds / 4',
      'controller_svid_lifetime_seconds / 3',
      ['test', 'rules', 'tests/audit-and-identity.test.yml'],
    ],
    [
      'alerts/crank.alerts.yml',
      'The audit log of',
      'An audit log of',
      ['test', 'rules', 'tests/audit-and-identity.test.yml'],
    ],
  ] as const)('refuses %s with %s turned into %s', async ([file, from, to, args]) => {
    expect(await promtool(await broken(file, from, to), ...args)).toMatchObject({ code: 1 })
  })
})

describe('Prometheus beside controllers at work', () => {
  const ALLOWED = { verb: 'invoke', capability: 'hello_world', payload: {} }
  const DENIED = { verb: 'convert', capability: 'document_to_pdf', payload: {} }
  const UNSERVED = { verb: 'stream', capability: 'text_events', payload: {} }
  let opa: OpaServer
  let receiver: OtlpReceiver
  let mesh: Mesh
  let worker: FakeWorker
  /** A controller whose disk can be taken away, of a mesh of its own, with the embedded engine. */
  let parties: Parties
  let other: ControllerProcess
  let prometheus: Prometheus
  /** In the place of Tempo: something that has metrics, and can be ended. */
  let watcher: Server
  let target: { mesh: string; other: string; opa: string; watcher: string }

  beforeAll(async () => {
    const diagnostic = `127.0.0.1:${await freePort()}`
    opa = await startOpa({ policyDir: join(ROOT, 'policies'), more: [`--diagnostic-addr=http://${diagnostic}`] })
    // Exemplars are there only where spans are exported.
    receiver = await startOtlpReceiver()
    mesh = await startMesh({ env: { OPA_URL: opa.url, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } })
    worker = await startFakeWorker(mesh, greets)
    expect(await worker.register()).toMatchObject({ status: 200 })
    parties = await createParties()
    other = await startControllerProcess({
      ...(await parties.tlsEnv('controller')),
      CRANK_STATE_DIR: parties.dir,
    })
    watcher = createServer((_request, response) => response.setHeader('content-type', 'text/plain').end('x 1\n'))
    await once(watcher.listen(0, '127.0.0.1'), 'listening')
    target = {
      mesh: new URL(mesh.adminOrigin).host,
      other: new URL(other.adminOrigin).host,
      opa: diagnostic,
      watcher: `127.0.0.1:${(watcher.address() as AddressInfo).port}`,
    }
    prometheus = await startPrometheus({
      targets: { controller: [target.mesh, target.other], opa: [target.opa], tempo: [target.watcher] },
      // Nobody is there to take alerts.
      alertmanagers: ['127.0.0.1:1'],
    })
  })
  afterAll(async () => {
    await prometheus.close()
    await other.stop('SIGKILL')
    await parties.close()
    await worker.close()
    await mesh.close()
    await receiver.close()
    await opa.stop()
  })

  const sampled = (traceId: string) => ({ traceparent: `00-${traceId}-00f067aa0ba902b7-01` })
  const alertsNamed = async (name: string): Promise<Alert[]> =>
    (await prometheus.alerts()).filter(({ labels }) => labels['alertname'] === name)
  const evaluated = async (): Promise<boolean> => (await prometheus.rules()).every(({ health }) => health === 'ok')

  test('scrapes all of them without an error', async () => {
    const state = async () =>
      (await prometheus.targets())
        .map(({ labels, health, lastError }) => [labels['job'], labels['instance'], health, lastError].join(' '))
        .sort()
    const own = new URL(prometheus.url).host
    await expect
      .poll(state, PATIENCE)
      .toEqual(
        [
          `controller ${target.mesh} up `,
          `controller ${target.other} up `,
          `opa ${target.opa} up `,
          `prometheus ${own} up `,
          `tempo ${target.watcher} up `,
        ].sort(),
      )
  })

  test('evaluates every rule and alert without an error, on the metrics of a controller', async () => {
    await expect.poll(evaluated, PATIENCE).toBe(true)
    const names = (await prometheus.rules()).map(({ name }) => name).sort()
    const wanted = [
      ...(await readAlerts()).map(({ alert }) => alert),
      ...(await readRecordings()).map(({ record }) => record),
    ]
    expect(names).toEqual(wanted.sort())
  })

  test('while all is well no alert is pending or firing', async () => {
    await expect.poll(prometheus.alerts, PATIENCE).toEqual([])
  })

  test('one denied call under full enforcement fires at once, and says of what', async () => {
    const traceId = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    expect(await mesh.route(STREAMING, DENIED, sampled(traceId))).toMatchObject({ status: 403 })
    await expect
      .poll(() => alertsNamed('PolicyDenialUnderEnforcement'), PATIENCE)
      .toEqual([
        expect.objectContaining({
          state: 'firing',
          labels: {
            alertname: 'PolicyDenialUnderEnforcement',
            severity: 'warning',
            job: 'controller',
            instance: target.mesh,
            capability: 'convert:document_to_pdf',
          },
          annotations: expect.objectContaining({
            summary: 'A call of convert:document_to_pdf denied while nothing is in shadow',
          }) as unknown,
        }),
      ])
  })

  test.for([
    [
      'a denied call',
      DENIED,
      'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
      [
        'controller_policy_denials_total',
        'controller_policy_decisions_total',
        'controller_policy_eval_duration_seconds_bucket',
      ],
    ],
    [
      'an allowed call',
      ALLOWED,
      'cccccccccccccccccccccccccccccccc',
      [
        'controller_policy_decisions_total',
        'controller_policy_eval_duration_seconds_bucket',
        'controller_route_duration_seconds_bucket',
      ],
    ],
  ] as const)(
    '%s is found by its trace id, as exemplar of counters and histograms',
    async ([, call, traceId, metrics]) => {
      await mesh.route(STREAMING, call, sampled(traceId))
      for (const metric of metrics) {
        const found = async () => {
          const series = await prometheus.exemplars(`${metric}{instance="${target.mesh}"}`)
          return series.flatMap(({ exemplars, seriesLabels }) =>
            exemplars.map(({ labels }) => [seriesLabels['capability'], labels['trace_id'], labels['span_id']]),
          )
        }
        await expect
          .poll(found, PATIENCE)
          .toContainEqual([`${call.verb}:${call.capability}`, traceId, expect.stringMatching(/^[0-9a-f]{16}$/)])
      }
    },
  )

  test('a call that is not sampled leaves no exemplar', async () => {
    const traceId = 'dddddddddddddddddddddddddddddddd'
    const decided = async (): Promise<number> => {
      const [one] = await prometheus.query(
        `controller_policy_decisions_total{instance="${target.mesh}",capability="invoke:hello_world",decision="allow"}`,
      )
      return Number(one?.value[1])
    }
    const before = await decided()
    await mesh.route(STREAMING, ALLOWED, { traceparent: `00-${traceId}-00f067aa0ba902b7-00` })
    await expect.poll(decided, PATIENCE).toBeGreaterThan(before)
    const all = await prometheus.exemplars('{__name__=~"controller_.+"}')
    expect(all).not.toEqual([])
    expect(JSON.stringify(all)).not.toContain(traceId)
  })

  test('every expression of the dashboards is accepted', async () => {
    const folder = join(ROOT, 'grafana/dashboards')
    const dashboards = await Promise.all(
      (await readdir(folder)).map(
        async (file) => JSON.parse(await readFile(join(folder, file), 'utf8')) as AskingDashboard,
      ),
    )
    const expressions = dashboards.flatMap(expressionsOf).filter(({ datasource }) => datasource === 'prometheus')
    expect(expressions).not.toEqual([])
    for (const { expr } of expressions)
      expect(await prometheus.query(withoutVariables(expr)), expr).toBeInstanceOf(Array)
    await expect(prometheus.query('sum by (')).rejects.toThrow('parse error')
  })

  test('alerts that reach no Alertmanager fire as that', async () => {
    await expect
      .poll(() => alertsNamed('AlertsNotDelivered'), PATIENCE)
      .toMatchObject([{ state: 'firing', labels: { severity: 'warning', job: 'prometheus' } }])
  })

  test('a part of the stack that cannot be scraped is pending', async () => {
    watcher.closeAllConnections()
    watcher.close()
    const watchers = async () =>
      (await alertsNamed('WatcherDown')).map(({ labels, state }) => [labels['job'], labels['severity'], state])
    await expect.poll(watchers, PATIENCE).toEqual([['tempo', 'warning', 'pending']])
  })

  test('a capability that is asked for and that nobody provides is pending', async () => {
    expect(await mesh.route(STREAMING, UNSERVED)).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
    await expect
      .poll(() => alertsNamed('NoWorkerForCapability'), PATIENCE)
      .toMatchObject([
        { state: 'pending', labels: { severity: 'critical', instance: target.mesh, capability: 'stream:text_events' } },
      ])
  })

  test('an audit log without room fires when a call is refused for it', async () => {
    execFileSync('prlimit', ['--pid', String(other.pid), '--fsize=1:unlimited'])
    const answer = await parties.request(other.origin, STREAMING, postJson('/route', ALLOWED))
    expect(answer).toMatchObject({ status: 503, body: { error: 'audit_unavailable' } })
    await expect
      .poll(() => alertsNamed('AuditUnavailable'), PATIENCE)
      .toMatchObject([{ state: 'firing', labels: { severity: 'critical', instance: target.other } }])
  })

  test('an OPA that is gone is pending, by what the controller says and by its own silence', async () => {
    await opa.stop()
    const seen = async () =>
      (await alertsNamed('PolicyEngineDown'))
        .map(({ labels, state }) => [labels['severity'], labels['instance'], state].join(' '))
        .sort()
    await expect.poll(seen, PATIENCE).toEqual([`critical ${target.mesh} pending`, `warning ${target.opa} pending`])
  })

  test('a controller that is gone is pending', async () => {
    await other.stop('SIGKILL')
    await expect
      .poll(() => alertsNamed('ControllerDown'), PATIENCE)
      .toMatchObject([{ state: 'pending', labels: { severity: 'critical', instance: target.other } }])
  })
})
