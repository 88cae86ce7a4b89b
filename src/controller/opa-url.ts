// OPA_URL: where the sidecar listens, by TCP or by unix socket.

/** `origin`: `http://host:port` without a slash at the end. `path`: absolute path of the socket. */
export type OpaAddress =
  { readonly kind: 'tcp'; readonly origin: string } | { readonly kind: 'unix'; readonly path: string }

const SENTENCE = 'must be http://host:port or unix:///absolute/path'

/** @throws {Error} with a sentence that says what is allowed. */
export function parseOpaUrl(text: string): OpaAddress {
  if (text.startsWith('unix:')) return parseSocket(text)
  const url = URL.parse(text)
  if (url?.protocol !== 'http:') throw new Error(SENTENCE)
  if (url.username !== '' || url.password !== '') throw new Error(`${SENTENCE}, without a user name`)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error(`${SENTENCE}, without a path: the controller adds the document's own`)
  }
  return { kind: 'tcp', origin: url.origin }
}

function parseSocket(text: string): OpaAddress {
  const path = text.slice('unix://'.length)
  if (!text.startsWith('unix:///') || path.length < 2) throw new Error(SENTENCE)
  return { kind: 'unix', path }
}
