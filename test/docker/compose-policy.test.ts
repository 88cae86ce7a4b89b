// docker-compose.policy.yml against what the code reads. No container engine runs here: every command that can run without
// one is run, the rest is compared.
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pinOf } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { BUNDLED_NAMES } from '../../src/cli/cert.ts'
import { ControllerEnv, loadControllerConfig } from '../../src/controller/config.ts'
import { parseHostRules } from '../../src/platform/host-rules.ts'
import { parseWorkerUrl } from '../../src/controller/routing/worker-url.ts'
import { loadWorkerConfig, WorkerSettings } from '../../src/worker/config.ts'
import { workerNames } from '../../src/workers/registry.ts'
import { SOON } from '../kubernetes/settings-check.ts'
import { commandOf, compose, environmentOf, mountsOf, ROOT, service } from './compose.ts'

const WORKERS = { 'worker-hello-world': 'hello_world', 'worker-streaming': 'streaming' }
const CRANKS = ['controller', ...Object.keys(WORKERS)]
const NODE = process.execPath

const controllerConfig = () => loadControllerConfig({ env: environmentOf(service('controller')) })
const workerConfig = (name: string) => loadWorkerConfig({ env: environmentOf(service(name)) })

describe('the services', () => {
  test('are the PKI one-off, OPA, the controller and two workers', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['controller', 'opa', 'pki', ...Object.keys(WORKERS)])
  })

  for (const [name, { read_only, cap_drop, security_opt }] of Object.entries(compose.services)) {
    test(`${name} runs with a read-only root and without any privilege`, () => {
      expect({ read_only, cap_drop, security_opt }).toEqual({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      })
      expect(Object.keys(service(name))).not.toContain('user')
      expect(Object.keys(service(name))).not.toContain('privileged')
    })
  }

  test('OPA has the version that the tests and policy.wasm are made with', async () => {
    expect(service('opa').image).toBe(`openpolicyagent/opa:${(await pinOf('opa')).version}-static`)
  })

  test('everything else is the one image that the Dockerfile makes', () => {
    for (const name of ['pki', ...CRANKS])
      expect(service(name)).toMatchObject({ image: 'crank-controller', build: { context: '.' } })
  })

  test('start in order: keys and OPA, then the controller, then workers', () => {
    const healthy = { condition: 'service_healthy' }
    expect(service('controller').depends_on).toEqual({
      pki: { condition: 'service_completed_successfully' },
      opa: healthy,
    })
    for (const name of Object.keys(WORKERS)) expect(service(name).depends_on).toEqual({ controller: healthy })
  })

  test('have time to drain before they are killed', () => {
    for (const name of CRANKS) expect(service(name).stop_grace_period).toBe('25s')
    const { lameDuckMs, drainTimeoutMs } = controllerConfig()
    expect(lameDuckMs + drainTimeoutMs).toBeLessThan(25_000 - 7000)
  })
})

describe('what can be reached', () => {
  test('is mTLS from everywhere, the admin listener from loopback, and nothing else', () => {
    const published = Object.values(compose.services).flatMap(({ ports = [] }) => ports)
    expect(published).toEqual(['9000:9000', '127.0.0.1:9001:9001'])
    expect(service('controller').ports).toEqual(published)
    expect(controllerConfig()).toMatchObject({
      listen: { host: '0.0.0.0', port: 9000 },
      admin: { host: '172.30.90.2', port: 9001 },
    })
  })

  test('the admin listener is bound to the one address of the controller on a network that no other service is on', () => {
    const members = Object.entries(compose.services).filter(([, { networks = [] }]) => networks.includes('admin'))
    expect(members.map(([name]) => name)).toEqual(['controller'])
    const { admin, adminAllowedHosts } = controllerConfig()
    // Ports are published on the network with the highest gw_priority: it has to be the one that is listened on.
    expect(service('controller').attachments).toEqual({
      crank: {},
      policy: {},
      store: {},
      admin: { ipv4_address: admin.host, gw_priority: 1 },
    })
    const [range] = compose.networks['admin']?.ipam?.config ?? []
    expect(parseHostRules(range?.subnet ?? '').allows(admin.host)).toBe(true)
    expect(parseHostRules(range?.ip_range ?? '').allows(admin.host)).toBe(false)
    expect(adminAllowedHosts.text).toEqual(['controller'])
  })

  test('OPA is on a network without a way out, alone with the controller', () => {
    const members = Object.entries(compose.services).filter(([, { networks = [] }]) => networks.includes('policy'))
    expect(members.map(([name]) => name).sort()).toEqual(['controller', 'opa'])
    expect(compose.networks['policy']).toMatchObject({ internal: true })
    expect(service('opa').networks).toEqual(['policy'])
    expect(service('pki').network_mode).toBe('none')
  })

  test('the network of the mesh is named crank, for other compose files to join', () => {
    expect(compose.networks['crank']).toEqual({ name: 'crank' })
    for (const name of CRANKS) expect(service(name).networks).toContain('crank')
  })
})

describe('the variables', () => {
  const known = { controller: ControllerEnv.properties, worker: WorkerSettings.properties }
  for (const name of CRANKS) {
    test(`of ${name} are all read by the code`, () => {
      const properties = name === 'controller' ? known.controller : known.worker
      const names = Object.keys(service(name).environment ?? {}).filter((variable) => !variable.startsWith('OTEL_'))
      expect(names).not.toEqual([])
      expect(names.filter((variable) => !(variable in properties) && !SOON.includes(variable))).toEqual([])
    })

    test(`of ${name} hand OTEL_* on as the caller has them, and never the service name`, () => {
      const otel = Object.entries(service(name).environment ?? {}).filter(([variable]) => variable.startsWith('OTEL_'))
      expect(Object.fromEntries(otel)).toMatchObject({ OTEL_EXPORTER_OTLP_ENDPOINT: null, OTEL_TRACES_SAMPLER: null })
      expect(otel.map(([, value]) => value).filter((value) => value !== null)).toEqual([])
      expect(otel.map(([variable]) => variable)).not.toContain('OTEL_SERVICE_NAME')
    })
  }

  test('make a configuration without a fault', () => {
    expect(controllerConfig()).toMatchObject({ policyDir: '/policies', auditDir: '/var/lib/crank/audit' })
    for (const name of Object.keys(WORKERS)) expect(workerConfig(name)).toMatchObject({ host: '0.0.0.0', port: 9443 })
  })

  test('let the parts find each other', () => {
    expect(controllerConfig().opa).toEqual({ kind: 'unix', path: '/run/opa/opa.sock' })
    expect(service('opa').command).toContain('--addr=unix:///run/opa/opa.sock')
    const socket = { type: 'volume', source: 'opa-socket', target: '/run/opa', readOnly: false }
    const sharing = Object.entries(compose.services).filter(([, one]) =>
      mountsOf(one).some(({ source }) => source === 'opa-socket'),
    )
    expect(sharing.map(([name]) => name)).toEqual(['opa', 'controller'])
    for (const [, one] of sharing) expect(mountsOf(one)).toContainEqual(socket)
    // In memory, and of the user that OPA's image and ours run as.
    const driver_opts = { type: 'tmpfs', device: 'tmpfs', o: 'uid=1000,gid=1000,mode=0700,size=64k' }
    expect(compose.volumes['opa-socket']).toEqual({ driver_opts })
    for (const name of Object.keys(WORKERS)) {
      const { controllerUrls, workerUrl = '', port } = workerConfig(name)
      expect(controllerUrls).toStrictEqual(['https://controller:9000'])
      expect(workerUrl).toBe(`https://${name}:${port}`)
      expect(parseWorkerUrl(workerUrl, controllerConfig().workerHosts)).toBe(workerUrl)
    }
  })
})

describe('the volumes', () => {
  test('are declared, or folders of the repository that are only read', () => {
    for (const mount of Object.values(compose.services).flatMap(mountsOf)) {
      const known = mount.type === 'volume' ? mount.source in compose.volumes : existsSync(join(ROOT, mount.source))
      expect({ mount, known }).toEqual({ mount, known: true })
      expect(mount.type === 'volume' || mount.readOnly).toBe(true)
    }
  })

  test('give OPA and the controller the same policies', () => {
    const policies = { type: 'bind', source: './policies', target: '/policies', readOnly: true }
    expect(mountsOf(service('opa'))).toContainEqual(policies)
    expect(mountsOf(service('controller'))).toContainEqual(policies)
    expect(controllerConfig().policyDir).toBe('/policies')
  })

  test('hold every file that OPA is told to load', () => {
    const files = commandOf(service('opa').command).filter((word) => /^(\w+:)?\/policies\//.test(word))
    expect(files.length).toBe(10)
    for (const file of files) {
      const path = file.replace(/^\w+:/, '').replace('/policies', join(ROOT, 'policies'))
      expect({ file, there: existsSync(path) }).toEqual({ file, there: true })
    }
  })

  test('give every identity its own folder, read-only, and the folder of the CA to nobody', () => {
    for (const name of CRANKS) {
      const [identity, ...others] = mountsOf(service(name)).filter(({ source }) => source === 'pki')
      expect(others).toEqual([])
      expect(identity).toEqual({ type: 'volume', source: 'pki', target: '/identity', readOnly: true, subpath: name })
    }
  })
})

describe('the PKI one-off, run as it stands', () => {
  let pki: string
  beforeAll(async () => {
    pki = await mkdtemp(join(tmpdir(), 'compose-pki-'))
  })
  afterAll(() => rm(pki, { recursive: true, force: true }))

  test('leaves each identity the files that its variables name, and only those; twice without complaint', async () => {
    const { entrypoint, command } = service('pki')
    const [shell = '', ...words] = [...commandOf(entrypoint), ...commandOf(command)]
    // Only the volume's mount point: in /pki/ca/pki/ the second one is the CA's own folder.
    const script = words.map((word) => word.replaceAll(/(?<!\w)\/pki\//g, `${pki}/`))
    for (const _ of ['first', 'second']) {
      const { code, stderr } = await run(shell, script, {
        cwd: ROOT,
        env: { PATH: `${join(NODE, '..')}:/usr/bin:/bin` },
      })
      expect({ code, stderr }).toMatchObject({ code: 0 })
    }
    for (const name of CRANKS) {
      const { CRANK_TLS_CERT = '', CRANK_TLS_KEY = '', CRANK_TLS_BUNDLE = '' } = environmentOf(service(name))
      const expected = [CRANK_TLS_CERT, CRANK_TLS_KEY, CRANK_TLS_BUNDLE].map((path) => basename(path)).sort()
      expect((await readdir(join(pki, name))).sort()).toEqual(expected)
      expect((await stat(join(pki, name, basename(CRANK_TLS_KEY)))).mode & 0o777).toBe(0o600)
    }
    // Those of the other bundled workers are there for whoever adds one.
    expect((await readdir(pki)).sort()).toEqual(['ca', ...BUNDLED_NAMES].sort())
  })
})

describe('the commands', () => {
  test('start workers that exist', () => {
    for (const [name, worker] of Object.entries(WORKERS)) {
      expect(service(name).command).toEqual(['worker', worker])
      expect(workerNames).toContain(worker)
    }
    expect(service('controller').command).toBeUndefined()
  })

  for (const words of [['controller'], ['worker'], ['cert', 'dev-ca']]) {
    test(`crank ${words.join(' ')} is a command`, async () => {
      const { code } = await run(NODE, [join(ROOT, 'bin/crank.js'), ...words, '--help'])
      expect(code).toBe(0)
    })
  }
})
