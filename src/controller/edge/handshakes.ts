// Peers that never got past the TLS handshake: no request, so no gate and no 401 that could be recorded. One record each, in the
// budget of strangers, with the address and the kind of the failure.
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Logger } from '../../platform/logger.ts'
import { handshakeRefused, type HandshakeFailure } from '../../audit/event.ts'
import type { RefusalBudget } from '../audit/refusal-budget.ts'

type HandshakeDeps = {
  readonly strangers: RefusalBudget
  readonly log: Pick<Logger, 'warn'>
  readonly now: () => number
}

/** Call it before the server listens. Who only opens a port and leaves is counted elsewhere, and not recorded. */
export function recordHandshakes(server: Server, { strangers, log, now }: HandshakeDeps): void {
  // A socket that has ended no longer knows its address, and one that said too little never gets far enough to tell it.
  const addresses = new WeakMap<Socket, string | undefined>()
  server.on('connection', (socket: Socket) => {
    addresses.set(socket, socket.remoteAddress)
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    const kind = failureOf(error.code ?? '', socket)
    if (kind === undefined) return
    const under = socketUnder(socket)
    const remoteAddress = socket.remoteAddress ?? (under && addresses.get(under)) ?? null
    if (!strangers.record(handshakeRefused({ atMs: now(), kind, remoteAddress }))) return
    const fields = { event: 'handshake_refused', kind, remote_address: remoteAddress, code: error.code }
    log.warn(fields, 'a TLS handshake failed')
  })
}

/** The first that fits; OpenSSL's reasons, as Node spells them. An alert is the peer's word, everything else our own. */
const FAILURES: readonly (readonly [RegExp, HandshakeFailure])[] = [
  [/_ALERT_/, 'alert'],
  [/HANDSHAKE_TIMEOUT/, 'timeout'],
  [/HTTP_REQUEST|HTTPS_PROXY|WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_(LAYER|TOO)/, 'not_tls'],
  [/CERT|X509|ASN1|KEY_TOO_SMALL|MD_TOO_WEAK|SIGNATURE|EE_KEY|CA_KEY|UNKNOWN_PUBLIC_KEY|OSSL/, 'certificate'],
]

/** Node keeps it in a member without documentation; missing, a record has no address. */
function socketUnder(socket: TLSSocket): Socket | undefined {
  return (socket as { readonly _parent?: Socket })._parent
}

function failureOf(code: string, { authorizationError }: TLSSocket): HandshakeFailure | undefined {
  // Node ends a connection whose certificate it refuses (TLS_REFUSE_UNVERIFIED) without a reason of its own.
  if (code === 'ECONNRESET') return (authorizationError as unknown) ? 'certificate' : undefined
  return FAILURES.find(([pattern]) => pattern.test(code))?.[1] ?? 'protocol'
}
