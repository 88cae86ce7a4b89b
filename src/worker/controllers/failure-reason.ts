// Why a controller did not answer, in words for a log line or an error.
import { NO_TLS_HINT, speaksNoTls } from '../../platform/tls/no-tls.ts'

/** The same failure has the same words. A peer with another identity is named. */
export function whyOf(error: Error): string {
  if (speaksNoTls(error)) return `it answers without TLS: ${NO_TLS_HINT}`
  const detail =
    error.cause instanceof Error && error.cause.message.startsWith('the peer is ') ? ` (${error.cause.message})` : ''
  return `${error.message}${detail}`
}
