// The compose files as data, alone and merged, and their commands as they would run: with `$$` and defaults filled in.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

export type Mount = {
  readonly type: 'bind' | 'volume'
  readonly source: string
  readonly target: string
  readonly subpath?: string | undefined
  readonly readOnly: boolean
}
export type HealthCheck = { readonly test?: readonly string[]; readonly disable?: boolean }
export type Service = {
  readonly image: string
  readonly build?: { readonly context: string; readonly args: Readonly<Record<string, string>> }
  readonly profiles?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string | null>>
  readonly volumes?: readonly (string | LongMount)[]
  readonly ports?: readonly string[]
  /** Names; what the long form says of each is in `attachments`. */
  readonly networks?: readonly string[]
  readonly attachments?: Attachments
  readonly extra_hosts?: readonly string[]
  readonly network_mode?: string
  readonly depends_on?: Readonly<Record<string, { condition: string }>>
  readonly healthcheck: HealthCheck
  readonly user?: string
  readonly restart?: string
  readonly mem_limit?: string
  readonly tmpfs?: readonly string[]
  readonly read_only?: boolean
  readonly cap_add?: readonly string[]
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly stop_grace_period?: string
}
export type Attachments = Readonly<
  Record<string, { ipv4_address?: string; gw_priority?: number; aliases?: readonly string[] }>
>
export type Network = {
  readonly name: string
  readonly internal?: boolean
  readonly ipam?: { readonly config: readonly { readonly subnet: string; readonly ip_range: string }[] }
}
export type Compose = {
  readonly name: string
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, Network>>
  readonly volumes: Readonly<Record<string, unknown>>
}
/** A compose file that completes another: what it adds to a service of the other need not be a whole one. */
export type Overlay = Omit<Compose, 'services'> & { readonly services: Readonly<Record<string, Partial<Service>>> }
type LongMount = { type: 'volume'; source: string; target: string; read_only?: boolean; volume?: { subpath: string } }

export const ROOT = join(import.meta.dirname, '../..')

/** docker-compose.policy.yml with its merge keys resolved, and with its profile `nats`. */
export const withNats = read('docker-compose.policy.yml') as Compose

/** What starts of it without a profile. */
export const compose: Compose = {
  ...withNats,
  services: Object.fromEntries(Object.entries(withNats.services).filter(([, { profiles }]) => profiles === undefined)),
}

/** docker-compose.observability.yml, likewise. */
export const observability = read('docker-compose.observability.yml') as Overlay

/** Both files, as `docker compose -f docker-compose.policy.yml -f docker-compose.observability.yml` merges them. */
export const together = merged(compose, observability)

/** A service that must be there. */
export function service(name: string, { services }: Compose = compose): Service {
  const found = services[name]
  if (found === undefined) throw new Error(`the compose file has no service ${name}`)
  return found
}

/** The mounts of a service, short and long form alike. */
export function mountsOf({ volumes = [] }: Pick<Service, 'volumes'>): Mount[] {
  return volumes.map((entry) => {
    if (typeof entry !== 'string') {
      const { type, source, target, read_only: readOnly = false, volume } = entry
      return { type, source, target, readOnly, subpath: volume?.subpath }
    }
    const [source = '', target = '', mode] = entry.split(':')
    return { type: /^[./]/.test(source) ? 'bind' : 'volume', source, target, readOnly: mode === 'ro' }
  })
}

/** The environment that a container gets when the caller's own is empty: defaults filled in, the rest left out. */
export function environmentOf({ environment = {} }: Service): Record<string, string> {
  const given = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== null)
  return Object.fromEntries(given.map(([name, value]) => [name, interpolated(value)]))
}

/** A command as it runs: Compose's own `$$` and `${NAME:-default}` resolved. */
export function commandOf(words: readonly string[] | undefined): string[] {
  return (words ?? []).map(interpolated)
}

function interpolated(text: string): string {
  return text.replaceAll(/\$\$|\$\{\w+:-([^}]*)\}/g, (match, fallback: string | undefined) =>
    match === '$$' ? '$' : (fallback ?? ''),
  )
}

/** The images that a file names, as written: with their variables. */
export function imagesIn(file: string): string[] {
  return [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^ +(?:image|NODE_IMAGE): (.+)$/gm)].map(
    ([, image = '']) => image,
  )
}

/** Images and networks with the defaults of their variables; what runs (commands, environment) keeps them. */
function read(file: string): unknown {
  const content = parse(readFileSync(join(ROOT, file), 'utf8'), { merge: true }) as {
    services: Record<
      string,
      { image?: string; build?: object; extra_hosts?: string[]; networks?: string[] | Attachments }
    >
    networks: unknown
  }
  const services = Object.entries(content.services).map(([name, service]): [string, unknown] => {
    const { image, build, extra_hosts, networks } = withDefaults(service)
    const parts = { ...service, ...(image && { image }), ...(build && { build }), ...(extra_hosts && { extra_hosts }) }
    if (networks === undefined || Array.isArray(networks)) return [name, parts]
    return [name, { ...parts, networks: Object.keys(networks), attachments: networks }]
  })
  return { ...content, networks: withDefaults(content.networks), services: Object.fromEntries(services) }
}

function withDefaults<T>(value: T): T {
  return JSON.parse(interpolated(JSON.stringify(value))) as T
}

// The required rules of the Compose specification (13-merge.md): mappings are merged, volumes are
// appended, everything else of the overlay replaces. @throws for what would need another rule.
function merged(base: Compose, over: Overlay): Compose {
  const services: Record<string, Service> = { ...base.services }
  for (const [name, { environment, volumes, ...rest }] of Object.entries(over.services)) {
    const known = base.services[name]
    if (known !== undefined && Object.keys(rest).length > 0) throw new Error(`merging ${Object.keys(rest).join()}`)
    services[name] = {
      ...(known ?? (rest as Service)),
      environment: { ...known?.environment, ...environment },
      volumes: [...(known?.volumes ?? []), ...(volumes ?? [])],
    }
  }
  const networks = { ...base.networks, ...over.networks }
  return { name: over.name, services, networks, volumes: { ...base.volumes, ...over.volumes } }
}
