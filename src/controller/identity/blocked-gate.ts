// On the path of every call. The emergency brake, right after the identity gate: an identity on the controller's own block
// list is refused on every route of this listener, and its body is not read. No engine is asked, and shadow mode does not
// matter.
import fp from 'fastify-plugin'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { IDENTITY_BLOCKED } from '../../policy/brake.ts'

export type BlockedGateOptions = {
  /** Whether the current block list has the identity. */
  readonly isBlocked: (identity: SpiffeId) => boolean
}

/** Fastify plugin: an onRequest hook that throws `capability_access_denied`. The refusal recorder records it. */
export const blockedGate = fp<BlockedGateOptions>(
  (app, { isBlocked }, done) => {
    app.addHook('onRequest', ({ peer }, _reply, next) => {
      next(isBlocked(peer.spiffeId) ? refusal(peer.spiffeId) : undefined)
    })
    done()
  },
  { name: 'blocked-gate', dependencies: ['identity-gate'] },
)

function refusal(identity: SpiffeId): AppError {
  const message = `Worker ${identity} not authorized: the identity is blocked`
  return new AppError('capability_access_denied', message, { reasonCode: IDENTITY_BLOCKED })
}
