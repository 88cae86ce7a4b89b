// What only the overlay `mesh` of deploy/kubernetes has: OPA beside each controller, NATS, and what keeps two of three up. And
// the folders that are built by themselves.
import { readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { opaArguments } from '../../scripts/lab/opa-server.ts'
import { pinOf } from '../../scripts/tools/native-tools.ts'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { BUNDLED_NAMES } from '../../src/cli/cert.ts'
import { build, KUBERNETES_DIR } from './kustomize.ts'
import { container, containersOf, ofKind, selects, workload, type KubeObject, type Selector } from './objects.ts'
import { podSecurityFaults } from './pod-security.ts'
import { isAllowed, type Party } from './reach.ts'
import { schemaCheck } from './schema-check.ts'
import { environmentOf } from './settings-check.ts'

const LABELS = (component: string): Record<string, string> => ({
  'app.kubernetes.io/name': 'crank',
  'app.kubernetes.io/component': component,
})

let objects: KubeObject[]
beforeAll(async () => {
  objects = await build(join(KUBERNETES_DIR, 'overlays/mesh'))
})
const controllers = () => workload('controller', objects)
const nats = () => workload('nats', objects)

test.each(['controller', 'nats'])('%s: three, on three machines, of which one may go at a time', (name) => {
  const { spec } = workload(name, objects)
  expect(spec.replicas).toBe(3)
  expect(spec.template.spec.topologySpreadConstraints).toMatchObject([
    { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' },
    { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
  ])
  const budgets = ofKind(objects, 'PodDisruptionBudget').filter((budget) =>
    selects((budget.spec as { selector: Selector }).selector, spec.template.metadata.labels),
  )
  expect(budgets.map((budget) => budget.spec?.['maxUnavailable'])).toEqual([1])
})

describe('OPA', () => {
  const opa = () => container('opa', controllers())
  const mountOf = (name: string, path: string) =>
    container(name, controllers()).volumeMounts?.find(({ mountPath }) => mountPath === path)

  test('has the version that the tests and policy.wasm are made with', async () => {
    expect(opa().image).toBe(`openpolicyagent/opa:${(await pinOf('opa')).version}-static`)
  })

  test('is up before the controller starts, and ends after it', () => {
    expect(
      controllers().spec.template.spec.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy]),
    ).toEqual([['opa', 'Always']])
    expect(opa().startupProbe?.httpGet).toEqual({ path: '/health?plugins', port: 'opa-diagnostic' })
  })

  test('is asked on a socket in memory that only the two of them have', () => {
    const { opa: target } = loadControllerConfig({ env: environmentOf(container('controller', controllers())) })
    expect(target).toEqual({ kind: 'unix', path: '/run/opa/opa.sock' })
    expect(opa().args).toEqual(expect.arrayContaining(['--addr=unix:///run/opa/opa.sock', '--unix-socket-perm=600']))
    const { volumes = [], securityContext } = controllers().spec.template.spec
    expect(volumes.find(({ name }) => name === 'opa-socket')?.emptyDir?.medium).toBe('Memory')
    expect([mountOf('opa', '/run/opa')?.name, mountOf('controller', '/run/opa')?.name]).toEqual([
      'opa-socket',
      'opa-socket',
    ])
    // Mode 600: both must be one user.
    const users = containersOf(controllers()).map((one) => one.securityContext?.runAsUser ?? securityContext?.runAsUser)
    expect(users).toEqual([1000, 1000])
  })

  test('loads the files that the tests of the engines load, from the volume that the controller has', () => {
    const isFile = (word: string): boolean => word.includes('/policies/')
    expect((opa().args ?? []).filter(isFile).sort()).toEqual(opaArguments('/policies', '').filter(isFile).sort())
    expect(mountOf('opa', '/policies')).toEqual(mountOf('controller', '/policies'))
  })

  test('answers health and metrics on its port, and its API nowhere', () => {
    expect(opa().args).toContain('--diagnostic-addr=http://0.0.0.0:8282')
    expect(opa().args).toContain('--authorization=basic')
    expect(opa().ports).toEqual([{ name: 'opa-diagnostic', containerPort: 8282 }])
  })
})

describe('the network of NATS', () => {
  const OWN = { 'kubernetes.io/metadata.name': 'crank' }
  const pod = (component: string): Party => ({ pod: LABELS(component), namespace: OWN })
  const prometheus: Party = { pod: {}, namespace: { 'kubernetes.io/metadata.name': 'monitoring' } }
  const passes = (from: Party, to: Party, port: number): boolean => isAllowed(objects, OWN, { from, to, port })

  test.each<[boolean, string, string, number]>([
    [true, 'controller', 'nats', 4222],
    [true, 'nats', 'nats', 6222],
    [false, 'worker', 'nats', 4222],
    [false, 'worker', 'nats', 6222],
    [false, 'controller', 'nats', 6222],
    [false, 'controller', 'nats', 8222],
    [false, 'nats', 'controller', 9000],
    [false, 'nats', 'controller', 9001],
    [false, 'worker', 'controller', 8282],
    [false, 'controller', 'controller', 9001],
  ])('%s: %s to %s on %i', (expected, from, to, port) => {
    expect(passes(pod(from), pod(to), port)).toBe(expected)
  })

  test('gives Prometheus the metrics of OPA, and nothing of NATS', () => {
    expect(passes(prometheus, pod('controller'), 8282)).toBe(true)
    for (const port of [4222, 6222, 8222]) expect(passes(prometheus, pod('nats'), port)).toBe(false)
    expect(passes(pod('nats'), prometheus, 4317)).toBe(false)
  })
})

test('a server of NATS has the time to let its clients go before it is killed', () => {
  const config =
    ofKind(objects, 'ConfigMap').find(({ metadata }) => metadata.name.startsWith('nats-config'))?.data ?? {}
  const [, seconds] = /^lame_duck_duration: "(\d+)s"$/m.exec(config['nats.conf'] ?? '') ?? []
  expect(Number(seconds)).toBeGreaterThanOrEqual(30)
  expect(nats().spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(Number(seconds) + 20)
})

describe('the identities for SPIRE', () => {
  test('are valid, and are those that the code expects', async () => {
    const identities = await build(join(KUBERNETES_DIR, 'spire'))
    expect(identities.flatMap(schemaCheck('1.37'))).toEqual([])
    const idOf = (component: string, labels = {}): string | undefined => {
      const own: Record<string, string> = { ...LABELS(component), ...labels }
      const of = identities.filter(({ spec }) => selects((spec as { podSelector: Selector }).podSelector, own))
      expect(of).toHaveLength(1)
      const { spiffeIDTemplate } = of[0]?.spec as { spiffeIDTemplate: string }
      return spiffeIDTemplate
        .replace('{{ .TrustDomain }}', 'crank.local')
        .replace(/\{\{ index \.PodMeta\.Labels "(.+?)" \}\}/, (_, label: string) => own[label] ?? '-')
    }
    const { controllerId } = loadControllerConfig({ env: environmentOf(container('controller', controllers())) })
    expect(idOf('controller')).toBe(controllerId)
    expect(idOf('nats')).toBe('spiffe://crank.local/nats')
    expect(idOf('worker', { 'crank.local/worker': 'hello-world' })).toBe('spiffe://crank.local/worker/hello-world')
  })

  test('are only for pods of the namespace', async () => {
    for (const { spec } of await build(join(KUBERNETES_DIR, 'spire'))) {
      expect(spec?.['namespaceSelector']).toEqual({ matchLabels: { 'kubernetes.io/metadata.name': 'crank' } })
    }
  })
})

describe.each(readdirSync(join(KUBERNETES_DIR, 'workers')).filter((name) => name !== 'template'))(
  'the worker %s',
  (name) => {
    test('is valid by itself, and is one that has an identity', async () => {
      const built = await build(join(KUBERNETES_DIR, 'workers', name))
      expect(built.flatMap(schemaCheck('1.33'))).toEqual([])
      const worker = workload(`worker-${name}`, built)
      expect(podSecurityFaults(worker)).toEqual([])
      expect(BUNDLED_NAMES).toContain(`worker-${name}`)
    })
  },
)

test('an overlay of your own, as the documents show it, replaces the image and sets the storage class', async () => {
  const page = await readFile(join(KUBERNETES_DIR, '../../docs/operations/deploy.md'), 'utf8')
  const [, text = ''] = /```yaml\n# kustomization\.yaml\n([\s\S]+?)```/.exec(page) ?? []
  const folder = await mkdtemp(join(tmpdir(), 'own-overlay-'))
  try {
    await symlink(join(KUBERNETES_DIR, '../..'), join(folder, 'crank'))
    await writeFile(join(folder, 'kustomization.yaml'), text)
    const built = await build(folder)
    expect(built.flatMap(schemaCheck('1.37'))).toEqual([])
    const controller = workload('controller', built)
    expect(container('controller', controller).image).toBe('registry.example/crank-controller:0.1.0')
    expect(container('worker', workload('worker-streaming', built)).image).toBe(
      'registry.example/crank-controller:0.1.0',
    )
    expect(controller.spec.volumeClaimTemplates).toMatchObject([{ spec: { storageClassName: 'fast' } }])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
