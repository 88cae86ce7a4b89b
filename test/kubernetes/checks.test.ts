// The checks of this folder, each seen failing: a sound manifest, and one fault at a time.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { containersOf, parseObjects, selects, workload, workloadsIn, type KubeObject } from './objects.ts'
import { CONTROLS, podSecurityFaults } from './pod-security.ts'
import { isAllowed } from './reach.ts'
import { danglingNames } from './references.ts'
import type { KUBERNETES_VERSIONS } from './schema-check.ts'
import { schemaCheck } from './schema-check.ts'
import { SOON, unknownSettings } from './settings-check.ts'

const BASE = join(import.meta.dirname, '../../deploy/kubernetes/base')
const fileOf = (name: string): string => readFileSync(join(BASE, name), 'utf8')
/** The ConfigMaps that kustomize makes. */
const MAPS = ['policy-rego', 'policy-data'].map((name) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: Object.fromEntries(
    ['worker_manifests', 'enforcement', 'blocked', 'exceptions'].map((file) => [`${file}.json`, '{}']),
  ),
}))
const SOUND = [fileOf('namespace.yaml'), fileOf('controller.yaml'), ...MAPS.map((map) => stringify(map))].join('---\n')
const NETWORK = fileOf('network.yaml')

/** The objects, with one part of the text replaced. */
function broken(from: string | RegExp, to: string, text = SOUND): KubeObject[] {
  const changed = text.replace(from, to)
  expect(changed).not.toBe(text)
  return parseObjects(changed)
}
const schemaFaults = (objects: KubeObject[], version: (typeof KUBERNETES_VERSIONS)[number] = '1.37'): string[] =>
  objects.flatMap(schemaCheck(version))

test('the sound manifest has no fault', () => {
  const objects = parseObjects(SOUND)
  expect(schemaFaults(objects)).toEqual([])
  expect(danglingNames(objects)).toEqual([])
  expect(workloadsIn(objects).flatMap(podSecurityFaults)).toEqual([])
  expect(objects).toHaveLength(6)
})

describe('the schema check refuses', () => {
  test.each<[string, string | RegExp, string, string]>([
    ['a field that does not exist', 'enableServiceLinks', 'enableServiceLink', '(enableServiceLink)'],
    ['a value of another type', 'replicas: 1', "replicas: '1'", '/spec/replicas must be integer'],
    ['a field without its value', 'runAsNonRoot: true', 'runAsNonRoot:', '/runAsNonRoot must be boolean'],
    ['a number as the value of a variable', "value: '9000'", 'value: 9000', '/value must be string'],
    ['a container without a name', 'name: controller\n          image', 'image', "must have required property 'name'"],
    ['an old API', 'apps/v1\n', 'apps/v1beta2\n', 'Kubernetes 1.37 has no apps/v1beta2 StatefulSet'],
  ])('%s', (_name, from, to, says) => {
    expect(schemaFaults(broken(from, to)).join()).toContain(says)
  })

  test('what only a newer Kubernetes has', () => {
    const objects = broken('enableServiceLinks: false', 'enableServiceLinks: false\n      hostnameOverride: x')
    expect(schemaFaults(objects)).toEqual([])
    expect(schemaFaults(objects, '1.33').join()).toContain('(hostnameOverride)')
  })

  test('a field that SPIRE does not know', () => {
    const object = {
      apiVersion: 'spire.spiffe.io/v1alpha1',
      kind: 'ClusterSPIFFEID',
      metadata: { name: 'x' },
      spec: { spiffeIDTemplate: 'spiffe://x/y', dnsNames: ['z'] },
    }
    expect(schemaFaults([object])).toEqual(['ClusterSPIFFEID/x: /spec must NOT have additional properties (dnsNames)'])
  })
})

describe('the check of the Pod Security Standard refuses', () => {
  const IN_POD = 'enableServiceLinks: false'
  const IN_CONTAINER = 'allowPrivilegeEscalation: false\n'
  const inPod = (text: string): [string, string] => [IN_POD, `${IN_POD}\n      ${text}`]
  const inContainer = (text: string): [string, string] => [IN_CONTAINER, `${IN_CONTAINER}            ${text}\n`]
  const cases: Readonly<Record<string, [from: string | RegExp, to: string]>> = {
    HostProcess: inContainer('windowsOptions: { hostProcess: true }'),
    'Host Namespaces': inPod('hostPID: true'),
    'Privileged Containers': inContainer('privileged: true'),
    'HostPath Volumes': [/emptyDir:\n\s+medium: Memory\n\s+sizeLimit: 64Mi/, 'hostPath: { path: /tmp }'],
    'Host Ports': ['containerPort: 9000', 'containerPort: 9000\n              hostPort: 9000'],
    'Host Probes / Lifecycle Hooks': ['path: /readyz', 'host: 127.0.0.1, path: /readyz'],
    AppArmor: inContainer('appArmorProfile: { type: Unconfined }'),
    SELinux: inContainer('seLinuxOptions: { type: spc_t }'),
    '/proc Mount Type': inContainer('procMount: Unmasked'),
    Sysctls: ['runAsNonRoot: true', 'runAsNonRoot: true\n        sysctls: [{ name: kernel.msgmax, value: "1" }]'],
    'Volume Types': [/emptyDir:\n\s+medium: Memory\n\s+sizeLimit: 64Mi/, 'nfs: { server: x, path: / }'],
    'Privilege Escalation': [IN_CONTAINER, 'privileged: false\n'],
    'Running as Non-root': ['runAsNonRoot: true', 'runAsNonRoot: false'],
    'Running as Non-root user': inContainer('runAsUser: 0'),
    Seccomp: ['type: RuntimeDefault', 'type: Unconfined'],
    Capabilities: ['drop: [ALL]', 'drop: [ALL]\n              add: [NET_ADMIN]'],
  }

  test('a fault of each of its controls', () => {
    expect(Object.keys(cases)).toEqual(CONTROLS.map(({ name }) => name))
  })

  test.each(Object.entries(cases))('%s', (control, [from, to]) => {
    const faults = workloadsIn(broken(from, to)).flatMap(podSecurityFaults)
    expect(faults.map((fault) => fault.split(': ')[1])).toContain(control)
  })

  test('a container that does not drop every capability', () => {
    const faults = workloadsIn(broken('drop: [ALL]', 'drop: [KILL]')).flatMap(podSecurityFaults)
    expect(faults).toEqual(['StatefulSet/controller: Capabilities: controller'])
  })

  test('an init container, too', () => {
    const init = 'initContainers:\n        - { name: init, image: "x:1.0.0" }\n      containers:'
    const faults = workloadsIn(broken('containers:', init)).flatMap(podSecurityFaults)
    expect(faults).toEqual([
      'StatefulSet/controller: Privilege Escalation: init',
      'StatefulSet/controller: Capabilities: init',
    ])
  })
})

describe('the check of names finds', () => {
  test.each<[string, string | RegExp, string, string]>([
    ['a volume', 'name: tmp\n              mountPath', 'name: temp\n              mountPath', 'no volume temp'],
    ['a volume that nobody mounts', /\n\s+- name: tmp\n\s+mountPath: \/tmp/, '', 'no container mounts the volume tmp'],
    [
      'a ConfigMap',
      '- configMap:\n                  name: policy-rego',
      '- configMap:\n                  name: x',
      'no ConfigMap x',
    ],
    ['a key of a ConfigMap', 'key: blocked.json', 'key: blocks.json', 'the ConfigMap policy-data has no blocks.json'],
    [
      'a secret',
      'emptyDir:',
      'secret: { secretName: s }\n          emptyDir:',
      'the secret s is not part of the manifests',
    ],
    ['a service account', 'serviceAccountName: controller', 'serviceAccountName: x', 'no service account x'],
    ['the service of a StatefulSet', 'serviceName: controller', 'serviceName: x', 'no service x'],
    [
      'the port of a probe',
      'path: /readyz, port: admin',
      'path: /readyz, port: metrics',
      'a probe asks no port metrics',
    ],
    ['the port of a service', 'targetPort: mtls', 'targetPort: tls', 'no container has the port tls'],
    ['a variable', 'value: /policies', 'value: $(DIR)/policies', 'CRANK_POLICY_DIR uses DIR'],
    ['the host of a URL', 'value: /policies', 'value: https://controler:9000', 'no service controler:9000'],
    ['the port of a URL', 'value: /policies', 'value: https://controller:9001', 'no service controller:9001'],
    [
      'a pod of a URL',
      'value: /policies',
      'value: tls://controller-1.controller:9000',
      'no service controller-1.controller',
    ],
    [
      'the pods of a selector',
      /selector:\n    matchLabels:\n\s+app.kubernetes.io\/name: crank/,
      'selector:\n    matchLabels:\n      app.kubernetes.io/name: x',
      'does not select its own pods',
    ],
  ])('%s that is not there', (_name, from, to, says) => {
    expect(danglingNames(broken(from, to)).join('\n')).toContain(says)
  })

  test('a policy or a budget that selects nothing', () => {
    const budget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'b' },
      spec: { selector: { matchLabels: { a: 'b' } } },
    }
    expect(danglingNames([...parseObjects(SOUND), budget])).toEqual(['PodDisruptionBudget/b: selects no pods'])
    const policies = parseObjects(NETWORK)
    expect(danglingNames([...parseObjects(SOUND), ...policies])).toEqual(['NetworkPolicy/worker: selects no pods'])
  })
})

describe('the check of the network', () => {
  const OWN = { 'kubernetes.io/metadata.name': 'crank' }
  const party = (component: string) => ({
    pod: { 'app.kubernetes.io/name': 'crank', 'app.kubernetes.io/component': component },
    namespace: OWN,
  })
  const toAdmin = { from: party('worker'), to: party('controller'), port: 9001 }

  test('sees a worker at the admin port where a policy lets it', () => {
    expect(isAllowed(parseObjects(NETWORK), OWN, toAdmin)).toBe(false)
    const opened = broken(/port: 9000/g, 'port: 9001', NETWORK)
    expect(isAllowed(opened, OWN, toAdmin)).toBe(true)
  })

  test('sees everything pass where there is no policy', () => {
    expect(isAllowed([], OWN, toAdmin)).toBe(true)
  })

  test('holds the protocol and the namespace of a rule', () => {
    const dns = { pod: { 'k8s-app': 'kube-dns' }, namespace: { 'kubernetes.io/metadata.name': 'kube-system' } }
    const ask = (to: typeof dns, protocol: 'TCP' | 'UDP', port = 53): boolean =>
      isAllowed(parseObjects(NETWORK), OWN, { from: party('worker'), to, port, protocol })
    expect([ask(dns, 'UDP'), ask(dns, 'TCP')]).toEqual([true, true])
    expect(ask({ ...dns, namespace: { 'kubernetes.io/metadata.name': 'evil' } }, 'UDP')).toBe(false)
    expect(ask(dns, 'UDP', 54)).toBe(false)
  })

  test('refuses to judge what it does not read', () => {
    const rule = { ports: [{ port: 'mtls' }] }
    const spec = { podSelector: {}, policyTypes: ['Ingress'], ingress: [rule] }
    const policy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'p' }, spec }
    expect(() => isAllowed([policy], OWN, toAdmin)).toThrow('a policy names no single port')
    const block = { ...policy, spec: { ...spec, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] } }
    expect(() => isAllowed([block], OWN, toAdmin)).toThrow('a policy names an address block')
  })
})

describe('a selector', () => {
  const labels = { a: '1', b: '2' }
  test.each<[boolean, string, string, string[] | undefined]>([
    [true, 'a', 'In', ['1', '2']],
    [false, 'c', 'In', ['1']],
    [true, 'c', 'NotIn', ['1']],
    [false, 'a', 'NotIn', ['1']],
    [true, 'a', 'Exists', undefined],
    [false, 'a', 'DoesNotExist', undefined],
  ])('is %s for %s %s %s', (expected, key, operator, values) => {
    const expression = { key, operator, ...(values && { values }) }
    expect(selects({ matchExpressions: [expression] }, labels)).toBe(expected)
  })

  test('with an unknown operator is refused', () => {
    expect(() => selects({ matchExpressions: [{ key: 'a', operator: 'Gt' }] }, labels)).toThrow('Gt is not an operator')
  })
})

test('the check of settings finds a name that the code does not read', () => {
  const [sound] = containersOf(workload('controller', parseObjects(SOUND)))
  const [changed] = containersOf(workload('controller', broken('CRANK_STATE_DIR', 'CRANK_STATE_FOLDER')))
  if (sound === undefined || changed === undefined) throw new Error('no container')
  expect(unknownSettings(sound, 'controller')).toEqual([])
  expect(unknownSettings(changed, 'controller')).toEqual(['CRANK_STATE_FOLDER'])
  expect(SOON).not.toContain('CRANK_STATE_FOLDER')
})

test('what is not YAML is refused', () => {
  expect(() => parseObjects('a: [')).toThrow()
})
