// Records peers that failed in the TLS handshake: they sent no request, so no gate and no 401 records them. One record each,
// within the budget of strangers, with the address and the kind of failure.
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

/** Call it before the server listens. A peer that only opens a connection and leaves is counted elsewhere, not recorded. */
export function recordHandshakes(server: Server, { strangers, log, now }: HandshakeDeps): void {
  // A closed socket no longer has its address, and in an early failure the TLS socket never had it.
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

/** OpenSSL's reasons, as Node spells them; the first match counts. An alert comes from the peer, the others from our side. */
const FAILURES: readonly (readonly [RegExp, HandshakeFailure])[] = [
  [/_ALERT_/, 'alert'],
  [/HANDSHAKE_TIMEOUT/, 'timeout'],
  [/HTTP_REQUEST|HTTPS_PROXY|WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_(LAYER|TOO)/, 'not_tls'],
  [/CERT|X509|ASN1|KEY_TOO_SMALL|MD_TOO_WEAK|SIGNATURE|EE_KEY|CA_KEY|UNKNOWN_PUBLIC_KEY|OSSL/, 'certificate'],
]

/** Node keeps the socket in an undocumented member; without it a record has no address. */
function socketUnder(socket: TLSSocket): Socket | undefined {
  return (socket as { readonly _parent?: Socket })._parent
}

function failureOf(code: string, { authorizationError }: TLSSocket): HandshakeFailure | undefined {
  // When Node refuses a certificate (TLS_REFUSE_UNVERIFIED), it ends the connection without a specific code.
  if (code === 'ECONNRESET') return (authorizationError as unknown) ? 'certificate' : undefined
  return FAILURES.find(([pattern]) => pattern.test(code))?.[1] ?? 'protocol'
}
