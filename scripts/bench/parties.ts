// The certificates of a run, and the processes of Crank itself.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseTrustDomain } from '../../src/core/spiffe-id.ts'
import { issueSvid, type Ca } from '../../src/platform/tls/dev-ca.ts'
import { devSpiffeId, ensureDevCa, ensureDevPki } from '../../src/platform/tls/dev-pki.ts'
import { freePorts } from '../lab/free-port.ts'
import { isAnswering, until } from './loopback.ts'
import type { Processes } from './processes.ts'
import { ROOT } from './stage.ts'

export const POLICY_DIR = join(ROOT, 'policies')
/** In the certificate of the worker beside its SPIFFE ID: nginx checks a name of DNS only. */
export const WORKER_DNS_NAME = 'localhost'
const TRUST_DOMAIN = parseTrustDomain('crank.local')
const WORKER = 'worker-hello-world'
const PARTIES = ['controller', 'worker-streaming', 'worker-hello-world'] as const

/** The environment variables with each process's identity, by name. */
export type Identities = Record<(typeof PARTIES)[number], NodeJS.ProcessEnv>

export async function mintIdentities(dir: string): Promise<Identities> {
  const files = await ensureDevPki({ dir, trustDomain: TRUST_DOMAIN, names: PARTIES, now: Date.now })
  const env = {} as Identities
  for (const name of PARTIES) {
    const { certFile, keyFile, bundlePath } = files[name]
    env[name] = { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath }
  }
  await nameWorker(dir, files[WORKER])
  return env
}

/** The CA that issued the identities in `dir`. */
export function devCa(dir: string): Promise<Ca> {
  return ensureDevCa({ dir, trustDomain: TRUST_DOMAIN, now: Date.now })
}

async function nameWorker(dir: string, { certFile, keyFile }: { certFile: string; keyFile: string }): Promise<void> {
  const ca = await devCa(dir)
  const spiffeId = devSpiffeId(TRUST_DOMAIN, WORKER)
  const { certPem, keyPem } = await issueSvid({ ca, spiffeId, dns: [WORKER_DNS_NAME], days: 1, now: Date.now })
  await writeFile(keyFile, keyPem, { mode: 0o600 })
  await writeFile(certFile, certPem)
}

export type ControllerProcess = { readonly pid: number; readonly port: number; readonly adminUrl: string }

/** Starts a controller and waits until it is ready. `nodeArgs` precede its program. */
export async function startController(
  processes: Processes,
  { name, env, nodeArgs = [] }: { name: string; env: NodeJS.ProcessEnv; nodeArgs?: readonly string[] },
): Promise<ControllerProcess> {
  // Chosen here, not by the system: a controller that logs nothing cannot report its ports.
  const [port, adminPort] = (await freePorts(2)) as [number, number]
  const { pid } = processes.start({
    name: `controller-${name}`,
    file: process.execPath,
    args: [...nodeArgs, join(ROOT, 'bin/crank.js'), 'controller'],
    env: { ...env, CRANK_PORT: String(port), CRANK_ADMIN_PORT: String(adminPort), CRANK_LAME_DUCK_MS: '0' },
  })
  const adminUrl = `http://127.0.0.1:${adminPort}`
  await until(`the controller of row ${name} is ready`, () => isAnswering(`${adminUrl}/readyz`))
  return { pid, port, adminUrl }
}
