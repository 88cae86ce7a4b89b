// On the path of every call. The emergency brake, second behind the identity gate: whoever is on the controller's own block
// list gets nothing on this listener, whatever the route, and nothing of what they send is read. No engine is asked, and
// shadow mode does not matter.
import fp from 'fastify-plugin'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { IDENTITY_BLOCKED } from '../../policy/brake.ts'

export type BlockedGateOptions = {
  /** By the block list in force now. */
  readonly isBlocked: (identity: SpiffeId) => boolean
}

/** Fastify plugin: an onRequest hook that throws `capability_access_denied`. The refusal recorder writes it down. */
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
