// Each registered worker: a TLS handshake and GET /health, as the controller does it.
import { Pool } from 'undici'
import { parseSpiffeId } from '../../core/spiffe-id.ts'
import type { WorkerEntry } from '../../core/wire.ts'
import type { Credentials } from '../../platform/tls/credentials.ts'
import { createPeerVerifier, type PeerVerifier } from '../../platform/svid/verify.ts'
import { createPinnedConnector } from '../../platform/tls/tls.ts'
import { fixedSource } from '../controller-client.ts'
import { messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const TIMEOUT_MS = 3000
const MOST = 100

/**
 * @param workers as the controller lists them; undefined: it does not answer, which is already a finding
 * @param credentials the controller's; a worker accepts no other peer
 */
export async function checkWorkers(
  workers: readonly WorkerEntry[] | undefined,
  credentials: Credentials | undefined,
  now: () => number,
): Promise<Finding[]> {
  if (workers === undefined) return []
  if (workers.length === 0) {
    return [warn('workers', 'none is registered', 'start one: crank worker hello_world; a refusal is in its log')]
  }
  if (credentials === undefined) {
    const message = `${workers.length} registered, handshakes not tried: workers accept only the controller`
    return [warn('workers', message, 'run it on the host of the controller, with CRANK_TLS_* or --state-dir')]
  }
  const verifier = createPeerVerifier({ now })
  const tried = await Promise.all(workers.slice(0, MOST).map((worker) => checkWorker(worker, credentials, verifier)))
  if (workers.length <= MOST) return tried
  return [...tried, warn('workers', `${workers.length} registered, ${MOST} tried`, 'list all of them: crank workers')]
}

async function checkWorker(worker: WorkerEntry, credentials: Credentials, verifier: PeerVerifier): Promise<Finding> {
  const { worker_id: name, worker_url: url = '', spiffe_id, state } = worker
  try {
    const status = await askHealth(url, parseSpiffeId(spiffe_id), credentials, verifier)
    if (status !== 200) return fail(name, `${url} answers /health with ${status}`, 'see the log of the worker')
  } catch (cause: unknown) {
    return fail(name, `${url}: ${messageOf(cause)}`, `is it running there, with the certificate of ${spiffe_id}?`)
  }
  if (state === 'live') return ok(name, `${url} shows ${spiffe_id}`)
  return warn(name, `${url} answers, but its heartbeats do not arrive`, 'can the worker reach the controller?')
}

async function askHealth(
  url: string,
  expected: ReturnType<typeof parseSpiffeId>,
  credentials: Credentials,
  verifier: PeerVerifier,
): Promise<number> {
  const connect = createPinnedConnector({ source: fixedSource(credentials), verifier, expected, timeoutMs: TIMEOUT_MS })
  const pool = new Pool(url, { connect, connections: 1, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS })
  try {
    const { statusCode, body } = await pool.request({ method: 'GET', path: '/health' })
    await body.dump()
    return statusCode
  } finally {
    await pool.destroy()
  }
}
