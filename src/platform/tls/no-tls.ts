// The hint for a peer that answers without TLS, which is most often the controller's admin listener.

/** The hint when the server at `CONTROLLER_URL` answers without TLS. */
export const NO_TLS_HINT =
  'is it the admin listener? Workers and commands call the mTLS listener, by default https://127.0.0.1:9000'

/** Whether a connection failed because the answer is not a TLS record, such as plain HTTP; OpenSSL has codes for that. */
export function speaksNoTls(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  const code = 'code' in cause ? cause.code : undefined
  return (
    code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG' || speaksNoTls(cause.cause)
  )
}
