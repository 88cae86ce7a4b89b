// Whether every name that an object mentions exists: volumes, ConfigMaps and their keys, accounts, services, ports, variables.
import {
  containersOf,
  nameOf,
  ofKind,
  selects,
  workloadsIn,
  type Container,
  type KubeObject,
  type Selector,
  type Volume,
  type Workload,
} from './objects.ts'

type ServiceSpec = {
  readonly selector: Readonly<Record<string, string>>
  readonly ports: readonly { readonly port: number; readonly targetPort?: number | string }[]
}

/** What is named and not there, as sentences; empty: nothing is missing. */
export function danglingNames(objects: readonly KubeObject[]): string[] {
  const workloads = workloadsIn(objects)
  return [
    ...workloads.flatMap((one) => faultsOfWorkload(one, objects).map((fault) => `${nameOf(one)}: ${fault}`)),
    ...ofKind(objects, 'Service').flatMap((one) => faultsOfService(one, workloads)),
    ...['PodDisruptionBudget', 'NetworkPolicy'].flatMap((kind) =>
      ofKind(objects, kind).flatMap((one) => faultsOfSelector(one, workloads)),
    ),
  ]
}

function faultsOfWorkload(workload: Workload, objects: readonly KubeObject[]): string[] {
  const { selector, template, serviceName, volumeClaimTemplates = [] } = workload.spec
  const { volumes = [], serviceAccountName = '(none)', topologySpreadConstraints = [] } = template.spec
  const has = (kind: string, name: string): boolean =>
    ofKind(objects, kind).some(({ metadata }) => metadata.name === name)
  const mountable = [...volumes.map(({ name }) => name), ...volumeClaimTemplates.map(({ metadata }) => metadata.name)]
  const containers = containersOf(workload)
  const mounted = new Set(containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)))
  return [
    ...(selects(selector, template.metadata.labels) ? [] : ['its selector does not select its own pods']),
    ...topologySpreadConstraints
      .filter(({ labelSelector = {} }) => !selects(labelSelector, template.metadata.labels))
      .map(({ topologyKey }) => `the spread over ${topologyKey} does not select its own pods`),
    ...(has('ServiceAccount', serviceAccountName) ? [] : [`no service account ${serviceAccountName}`]),
    ...(serviceName === undefined || has('Service', serviceName) ? [] : [`no service ${serviceName}`]),
    ...[...mounted].filter((name) => !mountable.includes(name)).map((name) => `no volume ${name}`),
    ...mountable.filter((name) => !mounted.has(name)).map((name) => `no container mounts the volume ${name}`),
    ...volumes.flatMap((volume) => faultsOfVolume(volume, objects)),
    ...containers.flatMap((one) => faultsOfContainer(one, objects)),
  ]
}

function faultsOfVolume({ configMap, projected, secret }: Volume, objects: readonly KubeObject[]): string[] {
  const sources = [configMap, ...(projected?.sources ?? []).map((source) => source.configMap)]
  const faults = sources.flatMap((source) => {
    if (source === undefined || source.optional === true) return []
    const map = ofKind(objects, 'ConfigMap').find(({ metadata }) => metadata.name === source.name)
    if (map === undefined) return [`no ConfigMap ${source.name}`]
    const keys = Object.keys({ ...map.data, ...map.binaryData })
    const missing = (source.items ?? []).map(({ key }) => key).filter((key) => !keys.includes(key))
    return missing.map((key) => `the ConfigMap ${source.name} has no ${key}`)
  })
  return secret === undefined ? faults : [...faults, `the secret ${secret.secretName} is not part of the manifests`]
}

function faultsOfContainer(container: Container, objects: readonly KubeObject[]): string[] {
  const { env = [], envFrom = [], ports = [], startupProbe, livenessProbe, readinessProbe } = container
  const probes = [startupProbe, livenessProbe, readinessProbe].flatMap((probe) => (probe === undefined ? [] : [probe]))
  const own = ports.flatMap(({ name, containerPort }) => [name, containerPort])
  const asked = probes.flatMap(({ httpGet, tcpSocket }) => [httpGet?.port, tcpSocket?.port])
  const maps = envFrom.flatMap(({ configMapRef }) => (configMapRef === undefined ? [] : [configMapRef.name]))
  const known = ofKind(objects, 'ConfigMap').map(({ metadata }) => metadata.name)
  return [
    ...asked.filter((port) => port !== undefined && !own.includes(port)).map((port) => `a probe asks no port ${port}`),
    ...maps.filter((name) => !known.includes(name)).map((name) => `no ConfigMap ${name}`),
    ...env.flatMap(({ name, value = '' }, index) =>
      [...value.matchAll(/\$\((\w+)\)/g)]
        .map(([, used = '']) => used)
        .filter((used) => !env.slice(0, index).some((earlier) => earlier.name === used))
        .map((used) => `${name} uses ${used}, which is not defined before it`),
    ),
    ...env.flatMap(({ name, value = '' }) => unknownHosts(value, objects).map((host) => `${name}: no service ${host}`)),
  ].map((fault) => `${container.name}: ${fault}`)
}

/** The hosts of URLs in a value that are names of the cluster, but of no service that has the port. */
function unknownHosts(value: string, objects: readonly KubeObject[]): string[] {
  const urls = [...value.matchAll(/\b(?:https?|tls|nats):\/\/([a-z][\w.-]*):(\d+)/g)]
  return urls.flatMap(([, host = '', port]) => (isServed(host, Number(port), objects) ? [] : [`${host}:${port}`]))
}

/** `controller`, or `nats-0.nats`: a pod of a StatefulSet by its service. */
function isServed(host: string, port: number, objects: readonly KubeObject[]): boolean {
  const [first = '', second] = host.split('.')
  const service = ofKind(objects, 'Service').find(({ metadata }) => metadata.name === (second ?? first))
  const { ports = [] } = (service?.spec ?? {}) as Partial<ServiceSpec>
  if (!ports.some((one) => one.port === port)) return false
  if (second === undefined) return true
  const [, set, number] = /^(.+)-(\d+)$/.exec(first) ?? []
  return workloadsIn(objects).some(
    ({ metadata, spec }) =>
      metadata.name === set && spec.serviceName === second && Number(number) < (spec.replicas ?? 1),
  )
}

function faultsOfService(service: KubeObject, workloads: readonly Workload[]): string[] {
  const { selector, ports } = service.spec as ServiceSpec
  const behind = workloads.filter(({ spec }) => selects({ matchLabels: selector }, spec.template.metadata.labels))
  if (behind.length === 0) return [`${nameOf(service)}: selects no pods`]
  const open = behind
    .flatMap(containersOf)
    .flatMap(({ ports: own = [] }) => own.flatMap((port) => [port.name, port.containerPort]))
  return ports
    .map(({ port, targetPort = port }) => targetPort)
    .filter((port) => !open.includes(port))
    .map((port) => `${nameOf(service)}: no container has the port ${port}`)
}

/** Of a policy or a budget: a selector that selects nothing protects nothing. */
function faultsOfSelector(object: KubeObject, workloads: readonly Workload[]): string[] {
  const { selector, podSelector } = object.spec as { selector?: Selector; podSelector?: Selector }
  const isUsed = workloads.some(({ spec }) => selects(selector ?? podSelector ?? {}, spec.template.metadata.labels))
  return isUsed ? [] : [`${nameOf(object)}: selects no pods`]
}
