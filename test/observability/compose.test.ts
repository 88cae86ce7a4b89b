// docker-compose.observability.yml, alone and merged with docker-compose.policy.yml. No container engine runs here.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  commandOf,
  compose,
  environmentOf,
  mountsOf,
  observability,
  ROOT,
  service,
  together,
} from '../docker/compose.ts'
import { readText, readYaml } from './files.ts'
import { imageOf, SERVERS } from './images.ts'

const STACK = [...SERVERS, 'jaeger-init']
const ADDED_TO = Object.keys(observability.services).filter((name) => !STACK.includes(name))
const stack = STACK.map((name) => [name, service(name, together)] as const)

describe('what is added to the mesh', () => {
  const exporting = Object.entries(compose.services).filter(
    ([, { environment = {} }]) => 'OTEL_EXPORTER_OTLP_ENDPOINT' in environment,
  )

  test('is an address for the spans of every process that makes some, and of OPA', () => {
    expect(ADDED_TO.sort()).toEqual([...exporting.map(([name]) => name), 'opa'].sort())
    for (const [name] of exporting) {
      const { OTEL_EXPORTER_OTLP_ENDPOINT } = environmentOf(service(name, together))
      expect(OTEL_EXPORTER_OTLP_ENDPOINT).toBe('http://jaeger:4317')
    }
  })

  test('is nothing else: environment, and for OPA a file', () => {
    for (const name of ADDED_TO) {
      const keys = Object.keys(observability.services[name] ?? {})
      expect(keys.sort()).toEqual(name === 'opa' ? ['environment', 'volumes'] : ['environment'])
    }
  })

  test('lets it start and run without the stack', () => {
    for (const name of Object.keys(compose.services)) {
      const waitsFor = Object.keys(service(name, together).depends_on ?? {})
      expect(waitsFor.filter((other) => STACK.includes(other))).toEqual([])
    }
  })

  test('is one project, on the networks of the other file and one of its own', () => {
    expect(observability.name).toBe(compose.name)
    expect(observability.networks).toEqual({ ...compose.networks, observability: { name: 'crank-observability' } })
  })
})

describe('who reaches whom', () => {
  const on = (network: string): string[] =>
    Object.entries(together.services).flatMap(([name, { networks = [] }]) => (networks.includes(network) ? [name] : []))

  test('is of the stack only Jaeger by the workers', () => {
    const mesh = Object.keys(compose.services).filter((name) => name !== 'opa' && name !== 'pki')
    expect(on('crank').sort()).toEqual([...mesh, 'jaeger'].sort())
  })

  test('is the stack among itself', () => {
    expect(on('observability').sort()).toEqual([...SERVERS].sort())
    expect(service('jaeger-init', together).network_mode).toBe('none')
  })

  test('is OPA only by the controller, by Jaeger, which it sends spans to, by Prometheus and by Alloy', () => {
    expect(on('policy').sort()).toEqual(['alloy', 'controller', 'jaeger', 'opa', 'prometheus'])
    expect(service('opa', together).networks).toEqual(['policy'])
  })

  test('is nothing of the stack from another machine', () => {
    const published = Object.fromEntries(stack.map(([name, { ports = [] }]) => [name, ports]))
    const own = (...ports: number[]): string[] => ports.map((port) => `127.0.0.1:${port}:${port}`)
    expect(published).toEqual({
      jaeger: own(16686, 4317, 4318),
      tempo: own(3200),
      prometheus: own(9090),
      alertmanager: own(9093),
      loki: own(3100),
      alloy: own(12345),
      grafana: own(3000),
      'jaeger-init': [],
    })
  })
})

describe('the containers', () => {
  test('have images whose version is written out', () => {
    for (const [name, { image }] of stack) {
      expect({ name, image }).toEqual({ name, image: expect.stringMatching(/^[\w/]+:v?\d+\.\d+\.\d+$/) as string })
      expect(imageOf(name)).toBeDefined()
    }
    expect(service('jaeger-init', together).image).toBe(service('jaeger', together).image)
  })

  test('can write to nothing but their volumes and /tmp, and have no privilege that they do not need', () => {
    const added = { 'jaeger-init': ['CHOWN'], alloy: ['DAC_OVERRIDE'] }
    for (const [name, { read_only, cap_drop, cap_add, security_opt, tmpfs = [] }] of stack) {
      expect({ name, read_only, cap_drop, security_opt }).toEqual({
        name,
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      })
      expect({ name, cap_add }).toEqual({ name, cap_add: (added as Record<string, string[]>)[name] })
      expect(tmpfs.filter((path) => path !== '/tmp')).toEqual([])
    }
  })

  test('come back after a fault, and are bounded in memory', () => {
    for (const name of SERVERS) {
      const { restart, mem_limit } = service(name, together)
      expect({ name, restart, mem_limit }).toEqual({
        name,
        restart: 'unless-stopped',
        mem_limit: expect.stringMatching(/^\d+[mg]$/) as string,
      })
    }
    expect(service('jaeger-init', together).restart).toBe('no')
  })

  test('wait for what they cannot do without', () => {
    const healthy = { condition: 'service_healthy' }
    const waits = Object.fromEntries(stack.map(([name, { depends_on }]) => [name, depends_on]))
    expect(waits).toEqual({
      'jaeger-init': undefined,
      jaeger: { 'jaeger-init': { condition: 'service_completed_successfully' } },
      tempo: undefined,
      prometheus: { alertmanager: { condition: 'service_started' } },
      alertmanager: undefined,
      loki: undefined,
      alloy: { loki: healthy },
      grafana: { jaeger: healthy, tempo: healthy, prometheus: healthy, loki: healthy },
    })
  })

  test('are the whole stack but Alloy, if Grafana is what is started', () => {
    const needed = (name: string): string[] => [
      name,
      ...Object.keys(service(name, together).depends_on ?? {}).flatMap(needed),
    ]
    expect([...new Set(needed('grafana'))].sort()).toEqual(STACK.filter((name) => name !== 'alloy').sort())
  })
})

describe('the volumes', () => {
  test('are all used, and all that are used are declared', () => {
    const used = new Set(
      Object.values(observability.services)
        .flatMap(({ volumes = [] }) => mountsOf({ volumes }))
        .flatMap(({ type, source }) => (type === 'volume' ? [source] : [])),
    )
    expect([...used].sort()).toEqual(Object.keys(observability.volumes).sort())
    expect(compose.volumes).toHaveProperty('state')
  })

  test('belong to whom they must: mounted where the image has a folder of its user, or made by jaeger-init', () => {
    for (const name of SERVERS) {
      const own = mountsOf(service(name, together)).filter(({ type, readOnly }) => type === 'volume' && !readOnly)
      const target = name === 'jaeger' ? '/badger' : imageOf(name).data
      expect(own).toEqual([{ type: 'volume', source: `${name}-data`, target, readOnly: false }])
    }
    const [command = ''] = commandOf(service('jaeger-init', together).command)
    expect(command).toContain(`chown -R ${imageOf('jaeger').uid}:${imageOf('jaeger').uid} /badger/data`)
    expect(service('jaeger-init', together)).toMatchObject({ user: '0:0', entrypoint: ['/bin/sh', '-ec'] })
  })

  test('are otherwise files and folders of the repository that are there, and are only read', () => {
    for (const mount of Object.values(observability.services).flatMap(({ volumes = [] }) => mountsOf({ volumes }))) {
      if (mount.type === 'volume') continue
      const there = mount.source === '/var/run/docker.sock' || existsSync(join(ROOT, mount.source))
      expect({ mount, there }).toEqual({ mount: { ...mount, readOnly: true }, there: true })
    }
  })

  test('hold every file that a command or a variable names', () => {
    for (const name of [...SERVERS, 'opa']) {
      const { command, environment = {} } = service(name, together)
      const files = [...commandOf(command), ...Object.values(environment)]
        .map((word) => /^(?:--?config[.-]file=)?(\/[\w/.]+\.(?:ya?ml|alloy))$/.exec(word ?? '')?.[1])
        .filter((file) => file !== undefined)
      for (const file of files) {
        const mount = mountsOf(service(name, together)).find(
          ({ target }) => file === target || file.startsWith(`${target}/`),
        )
        const path = mount && join(ROOT, mount.source, file.slice(mount.target.length))
        expect({ file, there: path !== undefined && existsSync(path) }).toEqual({ file, there: true })
      }
      expect({ name, files: files.length }).toEqual({ name, files: name === 'grafana' ? 0 : 1 })
    }
  })
})

describe('Grafana', () => {
  test('lets nobody in without a password, and reveals nothing to outsiders', () => {
    const { GF_SECURITY_ADMIN_PASSWORD, ...switches } = observability.services['grafana']?.environment ?? {}
    expect(GF_SECURITY_ADMIN_PASSWORD).toBe('${GRAFANA_ADMIN_PASSWORD:-admin}')
    expect(switches).toMatchObject({
      GF_AUTH_ANONYMOUS_ENABLED: 'false',
      GF_USERS_ALLOW_SIGN_UP: 'false',
      GF_ANALYTICS_REPORTING_ENABLED: 'false',
      GF_ANALYTICS_CHECK_FOR_UPDATES: 'false',
      GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: 'false',
      GF_PLUGINS_PREINSTALL_DISABLED: 'true',
    })
  })

  test('finds its dashboards where the provider looks for them', async () => {
    const { providers } = await readYaml<{ providers: { options: { path: string } }[] }>(
      'grafana/provisioning/dashboards/crank.yml',
    )
    const mounts = mountsOf(service('grafana', together))
    for (const { options } of providers)
      expect(mounts).toContainEqual({
        type: 'bind',
        source: './grafana/dashboards',
        target: options.path,
        readOnly: true,
      })
    expect(mounts).toContainEqual(
      expect.objectContaining({ source: './grafana/provisioning', target: '/etc/grafana/provisioning' }),
    )
  })

  test('asks each data source where it listens', async () => {
    const { datasources } = await readYaml<{ datasources: { uid: string; url: string }[] }>(
      'grafana/provisioning/datasources/crank.yml',
    )
    for (const { uid, url } of datasources) {
      const { hostname, port } = new URL(url)
      expect({ uid, hostname }).toEqual({ uid, hostname: uid })
      expect(service(hostname, together).ports).toContain(`127.0.0.1:${port}:${port}`)
    }
  })
})

test('no $ is one that Compose would take for a variable by mistake', async () => {
  const text = (await readText('docker-compose.observability.yml')).replaceAll(/^\s*#.*$/gm, '')
  const found = [...text.matchAll(/\$\$|\$(?:\{(\w+):-[^}]*\})?/g)].map(([match, name]) => name ?? match)
  const images = SERVERS.map((name) => `${name.toUpperCase()}_IMAGE`)
  expect([...new Set(found)].sort()).toEqual(['ADMIN_NETWORK', 'GRAFANA_ADMIN_PASSWORD', ...images].sort())
})
