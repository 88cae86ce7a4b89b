// Why an outgoing connection did not come about, from a closed list: for the log, and for whoever has to tell them apart.
import { AppError } from '../../core/errors.ts'

/**
 * `dns`: the name has no address, or none in time. `address`: it stands for one that is not allowed. `connect_refused`,
 * `connect_timeout`: TCP. `tls`: the handshake failed or took too long. `identity`: the peer is not who was expected.
 */
export type ConnectFailureKind = 'dns' | 'address' | 'connect_refused' | 'connect_timeout' | 'tls' | 'identity'

/** A connection that failed. `code` is the cause's, where it has one (ECONNREFUSED, ENOTFOUND, ...). */
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

/** The kind of what a pinned connector reported; undefined when it was no failure to connect. */
export function connectFailureKind(error: unknown): ConnectFailureKind | undefined {
  if (error instanceof ConnectError) return error.kind
  return error instanceof AppError && error.code === 'worker_failed' ? 'identity' : undefined
}
