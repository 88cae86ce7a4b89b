// The Pod Security Standard "restricted" (kubernetes.io/docs/concepts/security/pod-security-standards), control by control: the
// baseline ones and its own. The API server checks the same, but only once there is a cluster.
import { containersOf, nameOf, type Container, type PodSpec, type SecurityContext, type Workload } from './objects.ts'

type Control = {
  /** As the standard names it. */
  readonly name: string
  /** Where a pod breaks it: fields, or containers; empty: nowhere. */
  readonly broken: (pod: PodSpec, containers: readonly Container[]) => string[]
}

const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
]
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]
const PROFILES = ['RuntimeDefault', 'Localhost']
const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']

/** Every control of the standard, the baseline ones first. */
export const CONTROLS: readonly Control[] = [
  { name: 'HostProcess', broken: eachContext(({ windowsOptions }) => windowsOptions?.hostProcess !== true) },
  {
    name: 'Host Namespaces',
    broken: (pod) => (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => pod[field] === true),
  },
  { name: 'Privileged Containers', broken: eachContainer(({ privileged }) => privileged !== true) },
  { name: 'HostPath Volumes', broken: eachVolume((type) => type !== 'hostPath') },
  {
    name: 'Host Ports',
    broken: (_pod, containers) =>
      namesOf(containers.filter(({ ports = [] }) => ports.some(({ hostPort = 0 }) => hostPort !== 0))),
  },
  { name: 'Host Probes / Lifecycle Hooks', broken: (_pod, containers) => namesOf(containers.filter(namesHost)) },
  {
    name: 'AppArmor',
    broken: eachContext(
      ({ appArmorProfile }) => appArmorProfile === undefined || PROFILES.includes(appArmorProfile.type),
    ),
  },
  {
    name: 'SELinux',
    broken: eachContext(
      ({ seLinuxOptions: { type = '', user = '', role = '' } = {} }) =>
        SELINUX_TYPES.includes(type) && user === '' && role === '',
    ),
  },
  { name: '/proc Mount Type', broken: eachContainer(({ procMount = 'Default' }) => procMount === 'Default') },
  {
    name: 'Sysctls',
    broken: ({ securityContext }) =>
      (securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !SYSCTLS.includes(name)),
  },
  { name: 'Volume Types', broken: eachVolume((type) => VOLUMES.includes(type)) },
  {
    name: 'Privilege Escalation',
    broken: eachContainer(({ allowPrivilegeEscalation }) => allowPrivilegeEscalation === false),
  },
  { name: 'Running as Non-root', broken: ofEither('runAsNonRoot', (value) => value === true) },
  { name: 'Running as Non-root user', broken: eachContext(({ runAsUser }) => runAsUser !== 0) },
  {
    name: 'Seccomp',
    broken: ofEither('seccompProfile', (value) => value !== undefined && PROFILES.includes(value.type)),
  },
  {
    name: 'Capabilities',
    broken: eachContainer(
      ({ capabilities: { add = [], drop = [] } = {} }) =>
        drop.includes('ALL') && add.every((name) => name === 'NET_BIND_SERVICE'),
    ),
  },
]

/** What breaks the standard, as `workload: control: where`; empty: nothing does. */
export function podSecurityFaults(workload: Workload): string[] {
  const { spec } = workload.spec.template
  return CONTROLS.flatMap(({ name, broken }) =>
    broken(spec, containersOf(workload)).map((where) => `${nameOf(workload)}: ${name}: ${where}`),
  )
}

function eachContainer(isFine: (context: SecurityContext) => boolean): Control['broken'] {
  return (_pod, containers) => namesOf(containers.filter(({ securityContext = {} }) => !isFine(securityContext)))
}

/** The pod's context as well as those of the containers. */
function eachContext(isFine: (context: SecurityContext) => boolean): Control['broken'] {
  const inContainers = eachContainer(isFine)
  return (pod, containers) => [...(isFine(pod.securityContext ?? {}) ? [] : ['pod']), ...inContainers(pod, containers)]
}

/** A field that a container may leave to the pod. */
function ofEither<F extends keyof SecurityContext>(
  field: F,
  isFine: (value: SecurityContext[F] | undefined) => boolean,
): Control['broken'] {
  return (pod, containers) =>
    namesOf(containers.filter((one) => !isFine(one.securityContext?.[field] ?? pod.securityContext?.[field])))
}

function eachVolume(isFine: (type: string) => boolean): Control['broken'] {
  return ({ volumes = [] }) =>
    volumes.flatMap(({ name, ...types }) =>
      Object.keys(types)
        .filter((type) => !isFine(type))
        .map((type) => `${name} (${type})`),
    )
}

function namesHost({ startupProbe, livenessProbe, readinessProbe, lifecycle }: Container): boolean {
  return /"host":"[^"]/.test(JSON.stringify([startupProbe, livenessProbe, readinessProbe, lifecycle]))
}

function namesOf(containers: readonly Container[]): string[] {
  return containers.map(({ name }) => name)
}
