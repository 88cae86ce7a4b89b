// deploy/kubernetes, built by the real kustomize, held against Kubernetes' schemas, the restricted Pod Security Standard, the
// settings of the code and itself. checks.test.ts shows that each check fails where it must.
import { beforeAll, describe, expect, test } from 'vitest'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { loadWorkerConfig } from '../../src/worker/config.ts'
import { parseWorkerUrl } from '../../src/controller/routing/worker-url.ts'
import { workerNames } from '../../src/workers/registry.ts'
import { build, KUBERNETES_DIR } from './kustomize.ts'
import { container, containersOf, ofKind, workload, workloadsIn, type KubeObject } from './objects.ts'
import { podSecurityFaults } from './pod-security.ts'
import { isAllowed, type Party } from './reach.ts'
import { danglingNames } from './references.ts'
import { KUBERNETES_VERSIONS, schemaCheck } from './schema-check.ts'
import { arrivedSettings, environmentOf, unknownSettings } from './settings-check.ts'

const OVERLAYS = ['single', 'mesh']
const CLOSE_MS = 7000
const { version } = JSON.parse(readFileSync(join(KUBERNETES_DIR, '../../package.json'), 'utf8')) as { version: string }

const built: Record<string, KubeObject[]> = {}
beforeAll(async () => {
  for (const overlay of OVERLAYS) built[overlay] = await build(join(KUBERNETES_DIR, 'overlays', overlay))
})

describe.each(OVERLAYS)('the overlay %s', (overlay) => {
  const objects = (): KubeObject[] => built[overlay] ?? []

  test.each(KUBERNETES_VERSIONS)('is valid for Kubernetes %s', (kubernetes) => {
    const check = schemaCheck(kubernetes)
    expect(objects().flatMap(check)).toEqual([])
  })

  test('keeps the restricted Pod Security Standard, which its namespace enforces', () => {
    expect(workloadsIn(objects()).flatMap(podSecurityFaults)).toEqual([])
    const [namespace] = ofKind(objects(), 'Namespace')
    expect(namespace?.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' })
  })

  test('names nothing that is not there', () => {
    expect(danglingNames(objects())).toEqual([])
  })

  test('is in one namespace', () => {
    const namespaces = objects().map(({ kind, metadata }) =>
      kind === 'Namespace' ? metadata.name : metadata.namespace,
    )
    expect([...new Set(namespaces)]).toEqual(['crank'])
  })

  test('writes to nothing but volumes, gets no token of the API server and no addresses of services', () => {
    for (const one of workloadsIn(objects())) {
      const { automountServiceAccountToken, enableServiceLinks } = one.spec.template.spec
      expect({ automountServiceAccountToken, enableServiceLinks }).toEqual({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
      })
      for (const { securityContext } of containersOf(one)) expect(securityContext?.readOnlyRootFilesystem).toBe(true)
    }
    for (const account of ofKind(objects(), 'ServiceAccount')) {
      expect(account).toMatchObject({ automountServiceAccountToken: false })
    }
  })

  test('has images with a version, ours with that of the package', () => {
    for (const { image } of workloadsIn(objects()).flatMap(containersOf)) {
      expect(image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$/)
      if (image.startsWith('crank-controller:')) expect(image).toBe(`crank-controller:${version}`)
    }
  })

  test('gives every container memory to ask for and a limit of it, and CPU without one', () => {
    for (const one of workloadsIn(objects()).flatMap(containersOf)) {
      const { requests = {}, limits = {} } = one.resources ?? {}
      expect({ name: one.name, requests: Object.keys(requests).sort(), limits: Object.keys(limits) }).toEqual({
        name: one.name,
        requests: ['cpu', 'memory'],
        limits: ['memory'],
      })
    }
  })

  describe('the controller', () => {
    const controller = () => container('controller', workload('controller', objects()))
    const config = () => loadControllerConfig({ env: environmentOf(controller()) })

    test('has only settings that the code reads, and a configuration without a fault', () => {
      expect(unknownSettings(controller(), 'controller')).toEqual([])
      expect(config()).toMatchObject({ policyDir: '/policies', auditDir: '/var/lib/crank/audit' })
    })

    test('opens the ports that it listens on, and no others', () => {
      const ports = Object.fromEntries(
        (controller().ports ?? []).map(({ name, containerPort }) => [name, containerPort]),
      )
      expect(ports).toEqual({ mtls: config().listen.port, admin: config().admin.port })
      expect([config().listen.host, config().admin.host]).toEqual(['0.0.0.0', '0.0.0.0'])
    })

    test('is asked by each probe what the probe is for', () => {
      const { startupProbe, livenessProbe, readinessProbe } = controller()
      const asked = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet)
      expect(asked).toEqual(['/livez', '/livez', '/readyz'].map((path) => ({ path, port: 'admin' })))
    })

    test('has the time to drain before it is killed, and is not ready as long as DNS may still name it', () => {
      const { terminationGracePeriodSeconds = 0 } = workload('controller', objects()).spec.template.spec
      const { lameDuckMs, drainTimeoutMs } = config()
      expect(terminationGracePeriodSeconds * 1000).toBeGreaterThanOrEqual(lameDuckMs + drainTimeoutMs + CLOSE_MS + 3000)
      expect(lameDuckMs).toBeGreaterThanOrEqual(10_000)
    })

    test('keeps its audit log on a volume of its own that outlives it', () => {
      const { kind, spec } = workload('controller', objects())
      expect(kind).toBe('StatefulSet')
      const mount = controller().volumeMounts?.find(({ mountPath }) => mountPath === config().stateDir)
      expect(spec.volumeClaimTemplates?.map(({ metadata }) => metadata.name)).toEqual([mount?.name])
      expect(spec.persistentVolumeClaimRetentionPolicy).toEqual({ whenDeleted: 'Retain', whenScaled: 'Retain' })
      expect(spec.podManagementPolicy).toBe('Parallel')
    })

    test('may write where the owner is root', () => {
      const { securityContext } = workload('controller', objects()).spec.template.spec
      expect(securityContext).toMatchObject({ runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 })
    })

    test('sees changes of the policy: no file is mounted by subPath', () => {
      const mounts = workloadsIn(objects())
        .flatMap(containersOf)
        .flatMap(({ volumeMounts = [] }) => volumeMounts)
      expect(mounts.filter(({ subPath }) => subPath !== undefined)).toEqual([])
    })
  })

  describe('the workers', () => {
    const workers = () => workloadsIn(objects()).filter(({ metadata }) => metadata.name.startsWith('worker-'))

    test('are there', () => {
      expect(workers().map(({ metadata }) => metadata.name)).toEqual(['worker-hello-world', 'worker-streaming'])
    })

    test('have only settings that the code reads, and a configuration without a fault', () => {
      for (const one of workers().map((worker) => container('worker', worker))) {
        expect(unknownSettings(one, 'worker')).toEqual([])
        const { workerUrl = '', port } = loadWorkerConfig({ env: environmentOf(one) })
        expect(one.ports).toEqual([{ name: 'mtls', containerPort: port }])
        const controller = container('controller', workload('controller', objects()))
        const { workerHosts } = loadControllerConfig({ env: environmentOf(controller) })
        expect(parseWorkerUrl(workerUrl, workerHosts)).toBe(`https://10.1.2.3:${port}`)
      }
    })

    test('run workers that exist, each under its own name and label', () => {
      for (const { metadata, spec } of workers()) {
        const [command, name = ''] = container('worker', { metadata, spec } as ReturnType<typeof workload>).args ?? []
        expect({ command, known: workerNames.includes(name) }).toEqual({ command: 'worker', known: true })
        const label = name.replaceAll('_', '-')
        expect(metadata.name).toBe(`worker-${label}`)
        expect(spec.template.metadata.labels).toMatchObject({ 'crank.local/worker': label })
      }
    })
  })

  describe('the network', () => {
    const CRANK = { 'kubernetes.io/metadata.name': 'crank' }
    const pod = (component: string): Party => ({
      pod: { 'app.kubernetes.io/name': 'crank', 'app.kubernetes.io/component': component },
      namespace: CRANK,
    })
    const elsewhere = (namespace: string, labels = {}, podLabels = {}): Party => ({
      pod: podLabels,
      namespace: { 'kubernetes.io/metadata.name': namespace, ...labels },
    })
    const [controller, worker] = [pod('controller'), pod('worker')]
    const bare: Party = { pod: {}, namespace: CRANK }
    const [prometheus, other] = [elsewhere('monitoring'), elsewhere('other')]
    const dns = elsewhere('kube-system', {}, { 'k8s-app': 'kube-dns' })
    const caller = elsewhere('team', { 'crank.local/callers': 'allowed' })

    const passes = (from: Party, to: Party, port: number): boolean =>
      isAllowed(objects(), CRANK, { from, to, port, protocol: port === 53 ? 'UDP' : 'TCP' })

    test.each<[string, Party, Party, number]>([
      ['a worker to the mTLS port', worker, controller, 9000],
      ['a caller of a namespace with the label to the mTLS port', caller, controller, 9000],
      ['the controller to a worker', controller, worker, 9443],
      ['Prometheus to the admin port', prometheus, controller, 9001],
      ['the controller to DNS', controller, dns, 53],
      ['a worker to DNS', worker, dns, 53],
      ['the controller to a collector', controller, prometheus, 4317],
    ])('lets %s', (_name, from, to, port) => {
      expect(passes(from, to, port)).toBe(true)
    })

    test.each<[string, Party, Party, number]>([
      ['a worker to the admin port', worker, controller, 9001],
      ['a caller of another namespace to the admin port', caller, controller, 9001],
      ['any pod of the namespace to the admin port', bare, controller, 9001],
      ['another namespace to the admin port', other, controller, 9001],
      ['another namespace to the mTLS port', other, controller, 9000],
      ['a worker to a worker', worker, worker, 9443],
      ['another namespace to a worker', other, worker, 9443],
      ['a worker to another namespace', worker, other, 443],
      ['the controller to another namespace', controller, other, 443],
    ])('keeps %s', (_name, from, to, port) => {
      expect(passes(from, to, port)).toBe(false)
    })
  })
})

test('the list of settings to come is empty of those that have come', () => {
  expect(arrivedSettings()).toEqual([])
})
