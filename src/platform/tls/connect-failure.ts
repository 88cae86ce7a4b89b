// Why an outgoing connection failed, from a closed list: for the log, and for code that must distinguish the cases.
import { AppError } from '../../core/errors.ts'

/**
 * `dns`: the name has no address, or none in time. `address`: the name resolves to an address that is not allowed.
 * `connect_refused`, `connect_timeout`: TCP. `tls`: the handshake failed or took too long. `identity`: the peer has not the
 * expected identity.
 */
export type ConnectFailureKind = 'dns' | 'address' | 'connect_refused' | 'connect_timeout' | 'tls' | 'identity'

/** A connection that failed. `code`: the code of the cause, if it has one (ECONNREFUSED, ENOTFOUND, ...). */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly kind: ConnectFailureKind
  readonly code: string | undefined

  constructor(kind: ConnectFailureKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
    const { cause } = options ?? {}
    this.code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  }
}

/** The kind of an error from a pinned connector; undefined when the connection was not the problem. */
export function connectFailureKind(error: unknown): ConnectFailureKind | undefined {
  if (error instanceof ConnectError) return error.kind
  return error instanceof AppError && error.code === 'worker_failed' ? 'identity' : undefined
}
