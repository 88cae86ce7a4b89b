// Certificates: those of SPIFFE_ENDPOINT_SOCKET or CRANK_TLS_*, else the development certificates of the state folder.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isoTime } from '../../core/iso-time.ts'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import { loadCredentials, type CredentialFiles, type Credentials } from '../../platform/tls/credentials.ts'
import { expiredAnchors } from '../../platform/svid/trust-bundle.ts'
import { devFiles, PKI_FOLDER } from '../client-config.ts'
import { messageOf } from '../exit.ts'
import { DAY_MS, formatLeft } from '../time-left.ts'
import { fail, ok, warn, type Finding } from './finding.ts'
import { checkWorkloadApi } from './workload-api.ts'

type State = { readonly stateDir: string; readonly trustDomain: TrustDomain }
type CertificateChecks = {
  readonly findings: Finding[]
  /** The set with the controller's SPIFFE ID, if it is present and valid. */
  readonly controller: Credentials | undefined
}

const DEV_HINT = 'create development certificates: crank cert dev-ca'

/** Loads each set as the controller and the workers do: identity, key, chain, validity. */
export async function checkCertificates(
  state: State,
  env: NodeJS.ProcessEnv,
  now: () => number,
): Promise<CertificateChecks> {
  const controllerId = env['CRANK_CONTROLLER_ID'] ?? `spiffe://${state.trustDomain}/controller`
  if ((env['SPIFFE_ENDPOINT_SOCKET'] ?? '') !== '') {
    const { finding, credentials } = await checkWorkloadApi(state.trustDomain, env, now)
    return { findings: [finding], controller: credentials?.spiffeId === controllerId ? credentials : undefined }
  }
  const { sets, hint } = await findSets(state, env)
  if (sets.length === 0) {
    const message = `CRANK_TLS_CERT is not set, and there are no certificates in ${join(state.stateDir, PKI_FOLDER)}`
    return { findings: [fail('certificates', message, DEV_HINT)], controller: undefined }
  }
  const checked = await Promise.all(sets.map((files) => checkSet(files, hint, now)))
  const controller = checked.find(({ credentials }) => credentials?.spiffeId === controllerId)
  const findings = [...checked.map(({ finding }) => finding), ...judgeBundles(checked, now())]
  return { findings, controller: controller?.credentials }
}

async function findSets(
  { stateDir, trustDomain }: State,
  env: NodeJS.ProcessEnv,
): Promise<{ sets: CredentialFiles[]; hint: string }> {
  const { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile = '', CRANK_TLS_BUNDLE: bundlePath = '' } = env
  if (certFile !== undefined && certFile !== '') {
    return {
      sets: [{ certFile, keyFile, bundlePath, trustDomain }],
      hint: 'these are CRANK_TLS_CERT, _KEY and _BUNDLE',
    }
  }
  const names = await readdir(join(stateDir, PKI_FOLDER)).catch((): string[] => [])
  const sets = names.filter((name) => name.endsWith('.key') && names.includes(name.replace(/key$/, 'crt')))
  return {
    sets: sets.sort().map((name) => devFiles(stateDir, name.slice(0, -'.key'.length), trustDomain)),
    hint: DEV_HINT,
  }
}

type CheckedSet = {
  readonly files: CredentialFiles
  readonly finding: Finding
  readonly credentials: Credentials | undefined
}

async function checkSet(files: CredentialFiles, hint: string, now: () => number): Promise<CheckedSet> {
  try {
    const credentials = await loadCredentials(files, now)
    return { files, finding: judgeLife(files, credentials, now()), credentials }
  } catch (cause: unknown) {
    // A certificate that is not valid yet or has expired is often a fault of the clock, not of the CA.
    const clock = `this machine's clock says ${isoTime(now())}`
    return { files, finding: fail('certificate', `${messageOf(cause)} (${clock})`, hint), credentials: undefined }
  }
}

/** Several sets may share a bundle: each is checked once. */
function judgeBundles(sets: readonly CheckedSet[], nowMs: number): Finding[] {
  const messages = sets.flatMap(({ files, credentials }) =>
    expiredAnchors(credentials?.bundles ?? new Map(), nowMs).map(
      ({ trustDomain, subject, notAfterMs }) =>
        `${files.bundlePath}: the ${subject} of ${trustDomain} expired at ${isoTime(notAfterMs)}`,
    ),
  )
  const hint = 'replace it by its successor, or remove it from the bundle'
  return [...new Set(messages)].map((message) => warn('bundle', message, hint))
}

function judgeLife({ certFile }: CredentialFiles, { spiffeId, notAfterMs }: Credentials, nowMs: number): Finding {
  const message = `${certFile}: ${spiffeId}, ${formatLeft(notAfterMs - nowMs)} left`
  if (notAfterMs - nowMs > DAY_MS) return ok('certificate', message)
  return warn('certificate', message, 'renew it; it is loaded without a restart')
}
