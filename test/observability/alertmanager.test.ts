// observability/alertmanager.yml against the alerts that it routes and the container that reads it. No Alertmanager runs here.
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { commandOf, mountsOf, service, together } from '../docker/compose.ts'
import { readText, readYaml } from './files.ts'
import { readAlerts } from './prometheus-files.ts'

type Route = { readonly receiver: string; readonly matchers?: readonly string[]; readonly routes?: readonly Route[] }
type Receiver = { readonly name: string } & Readonly<Record<string, unknown>>
type Inhibition = { source_matchers: string[]; target_matchers: string[]; equal: string[] }
type Alertmanager = { route: Route; receivers: Receiver[]; inhibit_rules: Inhibition[] }

const FILE = 'observability/alertmanager.yml'
const text = await readText(FILE)
const config = await readYaml<Alertmanager>(FILE)
const severities = new Set((await readAlerts()).map(({ labels }) => labels['severity'] ?? ''))
const routes = (route: Route): Route[] => [route, ...(route.routes ?? []).flatMap(routes)]

/** `severity = "critical"` */
function matched(matcher: string): string {
  const [, severity] = /^severity = "(\w+)"$/.exec(matcher) ?? []
  return severity ?? expect.fail(`${matcher} is not understood`)
}

describe('routes', () => {
  test('lead to receivers that there are, and every receiver is led to', () => {
    const used = new Set(routes(config.route).map(({ receiver }) => receiver))
    expect([...used].sort()).toEqual(config.receivers.map(({ name }) => name).sort())
  })

  test('and inhibitions tell alerts apart by severities that alerts have', () => {
    const { inhibit_rules: inhibitions } = config
    const matchers = [
      ...routes(config.route).flatMap((route) => route.matchers ?? []),
      ...inhibitions.flatMap((one) => [...one.source_matchers, ...one.target_matchers]),
    ]
    expect(matchers).not.toEqual([])
    for (const matcher of matchers) expect([...severities]).toContain(matched(matcher))
    expect(inhibitions.map(({ equal }) => equal)).toEqual([['alertname', 'job', 'instance']])
  })
})

describe('the receiver', () => {
  test('tells nobody as it stands, and has no secret in it', () => {
    expect(config.receivers).toEqual([{ name: 'operators' }])
    expect(text).not.toMatch(/^\s*#?\s*(?:auth_password|api_url|bearer_token|routing_key):/m)
  })

  test('is filled in by taking away the comment signs', () => {
    const filled = parse(text.replaceAll(/^ {4}# ((?:\w+_configs:| {2}).*)$/gm, '    $1')) as Alertmanager
    expect(Object.keys(filled.receivers[0] ?? {})).toEqual([
      'name',
      'webhook_configs',
      'email_configs',
      'slack_configs',
    ])
    expect(filled.receivers[0]).toMatchObject({
      webhook_configs: [{ url: expect.stringMatching(/^https:/) as string }],
      email_configs: [{ to: expect.any(String) as string, auth_password_file: expect.any(String) as string }],
      slack_configs: [{ api_url_file: expect.any(String) as string, channel: '#crank' }],
    })
  })
})

describe('the container', () => {
  const container = service('alertmanager', together)
  const flags = commandOf(container.command)

  test('reads this file, and writes to its volume', () => {
    expect(mountsOf(container)).toEqual([
      { type: 'bind', source: `./${FILE}`, target: '/etc/alertmanager/alertmanager.yml', readOnly: true },
      { type: 'volume', source: 'alertmanager-data', target: '/alertmanager', readOnly: false },
    ])
    expect(flags).toEqual(
      expect.arrayContaining(['--config.file=/etc/alertmanager/alertmanager.yml', '--storage.path=/alertmanager']),
    )
  })

  test('opens no port for a cluster, and is where Prometheus looks for it', async () => {
    expect(flags).toContain('--cluster.listen-address=')
    const { alerting } = await readYaml<{
      alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] }
    }>('observability/prometheus/prometheus.yml')
    expect(alerting.alertmanagers).toEqual([{ static_configs: [{ targets: ['alertmanager:9093'] }] }])
    expect(container.networks).toEqual(['observability'])
    expect(service('prometheus', together).networks).toContain('observability')
  })
})
