// The objects of a manifest, as far as the checks look at them. Whether they are well-formed is the schema's to say.
import { parseAllDocuments } from 'yaml'

export type Labels = Readonly<Record<string, string>>
export type Selector = {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: string[] }[]
}
export type Probe = {
  readonly httpGet?: { readonly path: string; readonly port: number | string }
  readonly tcpSocket?: { readonly port: number | string }
  readonly exec?: { readonly command: readonly string[] }
  readonly periodSeconds?: number
  readonly failureThreshold?: number
}
export type EnvVar = {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } }
}
export type Container = {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly restartPolicy?: string
  readonly env?: readonly EnvVar[]
  readonly envFrom?: readonly {
    readonly configMapRef?: { readonly name: string }
    readonly secretRef?: { name: string }
  }[]
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly hostPort?: number }[]
  readonly volumeMounts?: readonly VolumeMount[]
  readonly securityContext?: SecurityContext
  readonly resources?: { readonly requests?: Labels; readonly limits?: Labels }
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly lifecycle?: { readonly preStop?: Probe }
}
export type VolumeMount = {
  readonly name: string
  readonly mountPath: string
  readonly readOnly?: boolean
  readonly subPath?: string
}
/** Of a pod and of a container alike. */
export type SecurityContext = {
  readonly privileged?: boolean
  readonly allowPrivilegeEscalation?: boolean
  readonly readOnlyRootFilesystem?: boolean
  readonly runAsNonRoot?: boolean
  readonly runAsUser?: number
  readonly runAsGroup?: number
  readonly fsGroup?: number
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] }
  readonly seccompProfile?: { readonly type: string }
  readonly appArmorProfile?: { readonly type: string }
  readonly seLinuxOptions?: { readonly type?: string; readonly user?: string; readonly role?: string }
  readonly procMount?: string
  readonly sysctls?: readonly { readonly name: string }[]
  readonly windowsOptions?: { readonly hostProcess?: boolean }
}
type Items = { readonly name: string; readonly optional?: boolean; readonly items?: readonly Item[] }
type Item = { readonly key: string; readonly path: string }
export type Volume = {
  readonly name: string
  readonly configMap?: Items
  readonly secret?: { readonly secretName: string }
  readonly projected?: { readonly sources: readonly { readonly configMap?: Items }[] }
  readonly emptyDir?: { readonly medium?: string; readonly sizeLimit?: string }
  readonly csi?: { readonly driver: string; readonly readOnly?: boolean }
  readonly persistentVolumeClaim?: { readonly claimName: string }
}
export type PodSpec = {
  readonly serviceAccountName?: string
  readonly automountServiceAccountToken?: boolean
  readonly enableServiceLinks?: boolean
  readonly terminationGracePeriodSeconds?: number
  readonly hostNetwork?: boolean
  readonly hostPID?: boolean
  readonly hostIPC?: boolean
  readonly shareProcessNamespace?: boolean
  readonly securityContext?: SecurityContext
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes?: readonly Volume[]
  readonly topologySpreadConstraints?: readonly { readonly labelSelector?: Selector; readonly topologyKey: string }[]
}
export type KubeObject = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels }
  readonly spec?: Readonly<Record<string, unknown>>
  readonly data?: Labels
  readonly binaryData?: Labels
}
/** A StatefulSet or a Deployment. */
export type Workload = KubeObject & {
  readonly spec: {
    readonly replicas?: number
    readonly serviceName?: string
    readonly podManagementPolicy?: string
    readonly selector: Selector
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec }
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[]
    readonly persistentVolumeClaimRetentionPolicy?: { readonly whenDeleted?: string; readonly whenScaled?: string }
  }
}

/** The objects in a text of YAML documents. @throws {Error} for a text that is not YAML */
export function parseObjects(text: string): KubeObject[] {
  return parseAllDocuments(text).map((document) => {
    const [fault] = document.errors
    if (fault !== undefined) throw fault
    return document.toJS() as KubeObject
  })
}

export function ofKind(objects: readonly KubeObject[], kind: string): KubeObject[] {
  return objects.filter((object) => object.kind === kind)
}

export function workloadsIn(objects: readonly KubeObject[]): Workload[] {
  return objects.filter(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment') as Workload[]
}

/** One that must be there. */
export function workload(name: string, objects: readonly KubeObject[]): Workload {
  const found = workloadsIn(objects).find(({ metadata }) => metadata.name === name)
  if (found === undefined) throw new Error(`no StatefulSet or Deployment is called ${name}`)
  return found
}

/** All containers, also those that run before or beside the others. */
export function containersOf({ spec }: Workload): Container[] {
  const { initContainers = [], containers } = spec.template.spec
  return [...initContainers, ...containers]
}

/** One that must be there. */
export function container(name: string, of: Workload): Container {
  const found = containersOf(of).find((one) => one.name === name)
  if (found === undefined) throw new Error(`${of.metadata.name} has no container ${name}`)
  return found
}

/** `StatefulSet/controller`, as kubectl writes it. */
export function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`
}

/** Whether a selector selects something with these labels. An empty selector selects everything. */
export function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  if (!Object.entries(matchLabels).every(([name, value]) => labels[name] === value)) return false
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    throw new Error(`${operator} is not an operator of a selector`)
  })
}
