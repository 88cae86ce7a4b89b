// On the path of every call. The emergency brake, right after the identity gate: an identity or a certificate on the controller's
// own block list is refused on every route of this listener, and its body is not read. No engine is asked, and shadow mode does not
// matter.
import fp from 'fastify-plugin'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { Peer } from '../../platform/svid/verify.ts'
import { IDENTITY_BLOCKED } from '../../policy/brake.ts'
import { CERTIFICATE_BLOCKED } from './blocked-certificates.ts'

export type BlockedGateOptions = {
  /** Whether the current block list has the identity. */
  readonly isBlocked: (identity: SpiffeId) => boolean
  /** Whether it has the certificate of the peer. */
  readonly isCertificateBlocked: (peer: Peer) => boolean
}

/** Fastify plugin: an onRequest hook that throws `capability_access_denied`. The refusal recorder records it. */
export const blockedGate = fp<BlockedGateOptions>(
  (app, { isBlocked, isCertificateBlocked }, done) => {
    app.addHook('onRequest', ({ peer }, _reply, next) => {
      if (isBlocked(peer.spiffeId)) next(identityRefusal(peer))
      else next(isCertificateBlocked(peer) ? certificateRefusal(peer) : undefined)
    })
    done()
  },
  { name: 'blocked-gate', dependencies: ['identity-gate'] },
)

function identityRefusal({ spiffeId }: Peer): AppError {
  const message = `Worker ${spiffeId} not authorized: the identity is blocked`
  return new AppError('capability_access_denied', message, { reasonCode: IDENTITY_BLOCKED })
}

/** Names the certificate first: the audit log cuts a long sentence at its end. */
function certificateRefusal({ spiffeId, fingerprint }: Peer): AppError {
  const message = `Certificate sha256:${fingerprint} is blocked: worker ${spiffeId} not authorized with it`
  return new AppError('capability_access_denied', message, { reasonCode: CERTIFICATE_BLOCKED })
}
