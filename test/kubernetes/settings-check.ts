// The variables of a container against the settings that the code reads.
import { ControllerEnv } from '../../src/controller/config.ts'
import { WorkerSettings } from '../../src/worker/config.ts'
import type { Container } from './objects.ts'

/** What the manifests set already and the code does not read yet. Empty it as they arrive: a test fails when one has. */
export const SOON: readonly string[] = []

const KNOWN = {
  controller: Object.keys(ControllerEnv.properties),
  worker: Object.keys(WorkerSettings.properties),
}
/** Kubernetes gives it to the process; only the manifest reads it. */
const OF_THE_MANIFEST = ['POD_IP']

/** Names that no code reads; empty: all are read. */
export function unknownSettings({ env = [] }: Container, of: keyof typeof KNOWN): string[] {
  const known = [...KNOWN[of], ...SOON, ...OF_THE_MANIFEST]
  return env.map(({ name }) => name).filter((name) => !known.includes(name) && !name.startsWith('OTEL_'))
}

/** Names of the list above that the code reads by now. */
export function arrivedSettings(): string[] {
  return SOON.filter((name) => KNOWN.controller.includes(name))
}

/** The environment as the process would get it, without what the code does not read yet; with files in place of a socket. */
export function environmentOf({ env = [] }: Container): Record<string, string> {
  const isRead = ({ name }: { name: string }): boolean => !SOON.includes(name) && !OF_THE_MANIFEST.includes(name)
  const values = env.filter(isRead).map(({ name, value, valueFrom }): [string, string] => {
    const given = value ?? FIELDS[valueFrom?.fieldRef?.fieldPath ?? '']
    if (given === undefined) throw new Error(`${name} has no value that is known here`)
    return [name, given.replaceAll('$(POD_IP)', POD_IP)]
  })
  const files = { CRANK_TLS_CERT: '/x.crt', CRANK_TLS_KEY: '/x.key', CRANK_TLS_BUNDLE: '/x.pem' }
  const hasSocket = env.some(({ name }) => name === 'SPIFFE_ENDPOINT_SOCKET')
  return { ...(hasSocket && SOON.includes('SPIFFE_ENDPOINT_SOCKET') ? files : {}), ...Object.fromEntries(values) }
}

const POD_IP = '10.1.2.3'
const FIELDS: Readonly<Record<string, string>> = {
  'status.podIP': POD_IP,
  'metadata.name': 'worker-hello-world-7d4b9c6f5-x2x9z',
}
