// scripts/smoke-observability.sh as an operator runs it, on real Jaeger, Prometheus, controller, worker and OPA. Docker,
// Tempo, Loki and Grafana cannot be had here: stand-ins answer the few requests that the script makes of them.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run, type Finished } from '../../scripts/tools/run.ts'
import { startOtlpReceiver } from '../../scripts/lab/otlp-receiver.ts'
import { STREAMING } from '../fixtures/parties.ts'
import { loadAlloyShipper } from '../fixtures/stack/alloy-shipper.ts'
import { startJaeger } from '../fixtures/stack/jaeger.ts'
import { startLoggingMesh } from '../fixtures/stack/logging-mesh.ts'
import { createLogStore, serveLogStore } from '../fixtures/stack/log-store.ts'
import { startPrometheus } from '../fixtures/stack/prometheus.ts'
import { readDashboards, readSources } from '../observability/grafana-model.ts'

const ROOT = join(import.meta.dirname, '../..')
const SHIP_EVERY_MS = 500

let parts: AsyncDisposableStack
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  parts = new AsyncDisposableStack()
  const tempo = await startOtlpReceiver()
  parts.defer(() => tempo.close())
  const jaeger = await startJaeger({ tempo: `127.0.0.1:${tempo.port}` })
  parts.defer(() => jaeger.close())
  const logs = createLogStore()
  const loki = await serveLogStore(logs)
  parts.defer(() => loki.close())
  const mesh = await startLoggingMesh({ otlpAddress: jaeger.otlpAddress })
  parts.defer(() => mesh.close())
  const prometheus = await startPrometheus({ targets: { controller: [new URL(mesh.adminOrigin).host] } })
  parts.defer(() => prometheus.close())

  const alloy = await loadAlloyShipper()
  const stop = new AbortController()
  const shipping = ship(async () => {
    const entries = await mesh.shipped(alloy)
    logs.push(entries)
  }, stop.signal)
  parts.defer(() => {
    stop.abort()
    return shipping
  })
  const tempoUrl = await serve((path) => {
    const spans = tempo.spans().filter(({ traceId }) => path === `/api/traces/${traceId}`)
    return spans.length > 0 && JSON.stringify(spans.map(({ service, name }) => ({ service, name })))
  })
  const dashboards = (await readDashboards()).map(({ uid }) => `/api/dashboards/uid/${uid}`)
  const sources = new Set((await readSources()).map(({ uid }) => uid))
  const behind = { jaeger: jaeger.queryUrl, tempo: tempoUrl, loki: loki.url, prometheus: prometheus.url }
  const grafanaUrl = await serve(async (path) => {
    const [, uid = '', rest = ''] = /^\/api\/datasources\/proxy\/uid\/(\w+)(\/.*)$/.exec(path) ?? []
    if (sources.has(uid)) return (await fetch(behind[uid as keyof typeof behind] + rest)).text()
    return dashboards.includes(path) && `{"uid":"${path.split('/').at(-1) ?? ''}"}`
  })

  const bin = await mkdtemp(join(tmpdir(), 'crank-smoke-'))
  parts.defer(() => rm(bin, { recursive: true, force: true }))
  await writeFile(join(bin, 'docker'), DOCKER)
  await chmod(join(bin, 'docker'), 0o755)
  env = {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    DOCKER_LOG: join(bin, 'log'),
    ...(await mesh.tlsEnv(STREAMING)),
    CONTROLLER_URL: mesh.origin,
    JAEGER_URL: jaeger.queryUrl,
    TEMPO_URL: tempoUrl,
    LOKI_URL: loki.url,
    PROMETHEUS_URL: prometheus.url,
    GRAFANA_URL: grafanaUrl,
    SMOKE_WAIT: '60',
  }
})
afterAll(() => parts.disposeAsync())

/** `docker compose … exec -T <service> <command>` runs the command here; the rest is only noted. */
const DOCKER = `#!/bin/bash
echo "$*" >> "$DOCKER_LOG"
while [ $# -gt 0 ] && [ "$1" != exec ]; do shift; done
[ $# -eq 0 ] || exec "\${@:4}"
`

/** Until it is told to stop, as Alloy would. */
async function ship(send: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await send()
    await delay(SHIP_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}

type AnswerTo = (path: string) => string | false | Promise<string | false>
async function serve(answer: AnswerTo): Promise<string> {
  const server = createServer((request, response) => {
    void Promise.resolve(answer(request.url ?? '')).then((body) => {
      response.writeHead(body === false ? 404 : 200).end(body === false ? '' : body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  parts.defer(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const smoke = (more: NodeJS.ProcessEnv = {}, ...args: string[]): Promise<Finished> =>
  run('bash', ['scripts/smoke-observability.sh', ...args], { cwd: ROOT, env: { ...env, ...more } })

test('finds both calls everywhere', async () => {
  const { code, stdout, stderr } = await smoke()
  expect(stdout.match(/^.*NOT FOUND.*$/gm) ?? [], stderr).toEqual([])
  expect(stdout.match(/ found /g)).toHaveLength(25)
  expect(code).toBe(0)
})

test('says what it does not find, and ends with 1', async () => {
  const { code, stdout } = await smoke({ TEMPO_URL: 'http://127.0.0.1:9', SMOKE_WAIT: '8' })
  expect(stdout).toMatch(/^Tempo: the forwarded copy +NOT FOUND http:\/\/127\.0\.0\.1:9\/api\/traces\/[0-9a-f]{32}$/m)
  expect(code).toBe(1)
})

test('ends when a call cannot be made', async () => {
  const { code, stderr } = await smoke({ CONTROLLER_URL: 'https://127.0.0.1:9' })
  expect(stderr).toContain('crank invoke invoke hello_world')
  expect(stderr).toContain('failed with exit code 3')
  expect(code).toBe(1)
})

test('refuses what it does not know', async () => {
  expect(await smoke({}, '--dowm')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('unknown argument "--dowm"'),
  })
})
