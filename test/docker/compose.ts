// docker-compose.policy.yml as data, and its commands as they would run: with `$$`, defaults and addresses filled in.
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
export type Service = {
  readonly image: string
  readonly build?: string
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string | null>>
  readonly volumes?: readonly (string | LongMount)[]
  readonly ports?: readonly string[]
  readonly networks?: readonly string[]
  readonly network_mode?: string
  readonly depends_on?: Readonly<Record<string, { condition: string }>>
  readonly healthcheck: { readonly test?: readonly string[]; readonly disable?: boolean }
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly stop_grace_period?: string
}
export type Compose = {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, { name: string; internal?: boolean }>>
  readonly volumes: Readonly<Record<string, unknown>>
}
type LongMount = { type: 'volume'; source: string; target: string; read_only?: boolean; volume?: { subpath: string } }

export const ROOT = join(import.meta.dirname, '../..')

/** The compose file with its merge keys resolved. */
export const compose = parse(readFileSync(join(ROOT, 'docker-compose.policy.yml'), 'utf8'), { merge: true }) as Compose

/** A service that must be there. */
export function service(name: string): Service {
  const found = compose.services[name]
  if (found === undefined) throw new Error(`the compose file has no service ${name}`)
  return found
}

/** The mounts of a service, short and long form alike. */
export function mountsOf({ volumes = [] }: Service): Mount[] {
  return volumes.map((entry) => {
    if (typeof entry !== 'string') {
      const { type, source, target, read_only: readOnly = false, volume } = entry
      return { type, source, target, readOnly, subpath: volume?.subpath }
    }
    const [source = '', target = '', mode] = entry.split(':')
    return { type: source.startsWith('.') ? 'bind' : 'volume', source, target, readOnly: mode === 'ro' }
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
