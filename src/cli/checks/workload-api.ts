// The identity that SPIFFE_ENDPOINT_SOCKET gives, as the controller and the workers take it.
import Type from 'typebox'
import { isoTime } from '../../core/iso-time.ts'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import { checkConfig } from '../../platform/env.ts'
import { identitySettings, readIdentitySource } from '../../platform/settings.ts'
import { fetchCredentials } from '../../platform/spiffe/fetch-once.ts'
import type { Credentials } from '../../platform/tls/credentials.ts'
import { WORKLOAD_API_TIMEOUT_MS } from '../own-identity.ts'
import { messageOf } from '../exit.ts'
import { formatLeft } from '../time-left.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

/** `credentials`: undefined if they cannot be used. */
type WorkloadApiCheck = { readonly finding: Finding; readonly credentials: Credentials | undefined }

const IdentityEnv = Type.Object(identitySettings)
/** An agent renews at half of the life of an SVID; with less than this part left it does not. */
const LATE = 0.25

/** Asks once, and checks the SVID that CRANK_SVID chooses. */
export async function checkWorkloadApi(
  trustDomain: TrustDomain,
  env: NodeJS.ProcessEnv,
  now: () => number,
): Promise<WorkloadApiCheck> {
  const { values, faults } = checkConfig(IdentityEnv, { env })
  const identity = readIdentitySource(values, trustDomain, faults)
  if (identity?.from !== 'workload_api' || faults.length > 0) {
    const hint = 'an identity comes from files or from a Workload API'
    return { finding: fail('certificate', faults.join('; '), hint), credentials: undefined }
  }
  try {
    const credentials = await fetchCredentials({ ...identity, timeoutMs: WORKLOAD_API_TIMEOUT_MS, now })
    return { finding: judgeLife(identity.endpoint.text, credentials, now()), credentials }
  } catch (cause: unknown) {
    const message = `${messageOf(cause)} (this machine's clock says ${isoTime(now())})`
    return { finding: fail('certificate', message, 'see what it gives: crank spiffe fetch'), credentials: undefined }
  }
}

function judgeLife(endpoint: string, { spiffeId, notBeforeMs, notAfterMs }: Credentials, nowMs: number): Finding {
  const leftMs = notAfterMs - nowMs
  const message = `SPIFFE_ENDPOINT_SOCKET ${endpoint}: ${spiffeId}, ${formatLeft(leftMs)} left`
  if (leftMs >= (notAfterMs - notBeforeMs) * LATE) return ok('certificate', message)
  return warn(
    'certificate',
    message,
    'it should have been renewed: can the agent reach its server? See the log of the agent',
  )
}
