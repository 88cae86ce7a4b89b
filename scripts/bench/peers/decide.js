// The peer's policy step in nginx (njs, an own dialect of JavaScript): asks OPA the controller's question about the
// verified caller, and hands the request to the worker only after an allow to this very question.

const SAN = Buffer.from('0603551d11', 'hex') // OID 2.5.29.17, subjectAltName
const TRUE = Buffer.from('0101ff', 'hex') // An extension may say that it is critical.
const OCTET_STRING = 0x04
const SEQUENCE = 0x30
const URI = 0x86

/**
 * @typedef {{
 *   ssl_client_raw_cert: string,
 *   request_id: string,
 *   crank_caller: string,
 *   crank_capability: string,
 *   crank_decision: string,
 * }} Variables
 * @typedef {{
 *   variables: Variables,
 *   requestText: string,
 *   subrequest: (uri: string, options: object, done: (reply: { status: number, responseText: string }) => void) => void,
 *   internalRedirect: (uri: string) => void,
 *   return: (status: number, body?: string) => void,
 *   error: (text: string) => void,
 * }} NginxRequest
 */

/** @param {NginxRequest} r */
function route(r) {
  const caller = callerOf(r.variables.ssl_client_raw_cert)
  if (caller === undefined) {
    r.return(401, '{"error":"spiffe_id_invalid"}')
    return
  }
  const call = parse(r.requestText)
  if (call === undefined || typeof call.verb !== 'string' || typeof call.capability !== 'string') {
    r.return(400, '{"error":"request_invalid"}')
    return
  }
  const decisionId = r.variables.request_id
  const input = inputFor(caller, call.verb, call.capability, decisionId)
  r.variables.crank_caller = caller
  r.variables.crank_capability = `${call.verb}:${call.capability}`
  r.subrequest('/_opa', { method: 'POST', body: JSON.stringify({ input }) }, (reply) => {
    const allow = reply.status === 200 ? allowIn(reply.responseText, decisionId) : undefined
    if (allow === undefined) {
      r.error(`no decision: ${reply.status} ${reply.responseText}`)
      r.return(503, '{"error":"policy_engine_error"}')
      return
    }
    r.variables.crank_decision = allow ? 'allow' : 'deny'
    if (allow) r.internalRedirect('/_worker')
    else r.return(403, '{"error":"capability_access_denied"}')
  })
}

/**
 * The input that the controller gives to its policy.
 * @param {string} caller
 * @param {string} verb
 * @param {string} capability
 * @param {string} decisionId
 */
function inputFor(caller, verb, capability, decisionId) {
  const now = Date.now()
  return {
    identity: { spiffe_id: caller, trust_domain: caller.split('/')[2] },
    action: { verb, capability },
    context: {
      timestamp: new Date(now).toISOString(),
      now_ns: `${now}000000`,
      source: 'controller',
      decision_id: decisionId,
      priority: 'normal',
      origin: caller,
      depth: 0,
    },
  }
}

/**
 * What OPA decided; undefined if this is no answer to this question.
 * @param {string} text
 * @param {string} decisionId
 * @returns {boolean | undefined}
 */
function allowIn(text, decisionId) {
  const answer = parse(text)
  const decision = answer === undefined ? undefined : answer.result
  if (decision === undefined || decision === null) return undefined
  return decision.decision_id === decisionId && typeof decision.allow === 'boolean' ? decision.allow : undefined
}

/**
 * The SPIFFE ID of a certificate that nginx has verified: its only URI name.
 * @param {string} pem
 * @returns {string | undefined}
 */
function callerOf(pem) {
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64')
  let at = der.indexOf(SAN)
  if (at < 0) return undefined
  at += SAN.length
  if (der.subarray(at, at + TRUE.length).equals(TRUE)) at += TRUE.length
  const value = element(der, at)
  const names = value.tag === OCTET_STRING ? element(der, value.from) : value
  if (names.tag !== SEQUENCE) return undefined
  let found
  for (let next = names.from; next < names.to;) {
    const name = element(der, next)
    next = name.to
    if (name.tag !== URI) continue
    if (found !== undefined) return undefined
    found = der.toString('utf8', name.from, name.to)
  }
  if (found === undefined) return undefined
  return found.startsWith('spiffe://') ? found : undefined
}

/**
 * One DER element; two bytes of length are enough for a certificate.
 * @param {Buffer} der
 * @param {number} at
 */
function element(der, at) {
  const first = der.readUInt8(at + 1)
  const more = first < 0x80 ? 0 : first - 0x80
  let length = more === 0 ? first : 0
  for (let n = 0; n < more; n++) length = length * 256 + der.readUInt8(at + 2 + n)
  const from = at + 2 + more
  return { tag: der.readUInt8(at), from, to: from + length }
}

/**
 * @param {string} text
 * @returns {{ verb?: unknown, capability?: unknown, result?: { allow?: unknown, decision_id?: unknown } | null } | undefined}
 */
function parse(text) {
  try {
    const value = /** @type {unknown} */ (JSON.parse(text))
    return typeof value === 'object' && value !== null ? value : undefined
    // eslint-disable-next-line @typescript-eslint/no-unused-vars -- njs 0.7 has no catch without a name
  } catch (error) {
    return undefined
  }
}

// eslint-disable-next-line no-restricted-syntax -- nginx's js_import takes the default export
export default { route }
