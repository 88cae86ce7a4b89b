// On the path of every call. The value of x-crank-chain: what the controller hands to a worker with a call, so that the
// worker's own calls continue its chain (decision 0054). Plain text and an HMAC-SHA-256 over it; none of it is secret.
//
//   v1;<depth>;<deadline, Unix ms>;<decision id>;<origin>;<worker>;<HMAC in base64url>
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { MAX_CALL_DEPTH } from '../../core/call-chain.ts'
import { FORMATS } from '../../core/formats.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'

/** The facts about the call that a worker executes; `worker` is the only identity that may hand the token back. */
type ChainToken = {
  readonly origin: SpiffeId
  readonly depth: number
  readonly decisionId: string
  readonly worker: SpiffeId
  readonly deadlineMs: number
}

/** Why a text is not a token that one of the keys made. */
export type TokenFault = 'repeated' | 'malformed' | 'unknown_version' | 'forged'

const VERSION = `v${FORMATS.chain_token}`
// The characters are those of SPIFFE IDs; whether they are valid ones is known from the HMAC.
const ID = String.raw`(spiffe://[\w./-]{1,2039})`
const FORM = new RegExp(String.raw`^${VERSION};(\d{1,2});(\d{1,15});([0-9a-f-]{36});${ID};${ID};[\w-]{43}$`)
const MAC_CHARS = 43

/** The token as the value of a header. */
export function signToken({ origin, depth, decisionId, worker, deadlineMs }: ChainToken, key: KeyObject): string {
  const facts = `${VERSION};${depth};${deadlineMs};${decisionId};${origin};${worker};`
  return facts + macOf(facts, key)
}

/** The facts of a token that one of `keys` made, or why it is none. Does not check the deadline or who sends it. */
export function readToken(text: string, keys: readonly KeyObject[]): ChainToken | TokenFault {
  // Node joins repeated headers with a comma, which no token contains.
  if (text.includes(',')) return 'repeated'
  const parts = FORM.exec(text)
  if (parts === null) return /^v\d+;/.test(text) && !text.startsWith(`${VERSION};`) ? 'unknown_version' : 'malformed'
  const facts = text.slice(0, -MAC_CHARS)
  const mac = Buffer.from(text.slice(-MAC_CHARS))
  if (!keys.some((key) => timingSafeEqual(Buffer.from(macOf(facts, key)), mac))) return 'forged'
  const depth = Number(parts[1])
  // Signed by a controller with another limit: not one that this controller would have handed out.
  if (depth >= MAX_CALL_DEPTH) return 'malformed'
  return {
    origin: parts[4] as SpiffeId,
    depth,
    decisionId: parts[3] ?? '',
    worker: parts[5] as SpiffeId,
    deadlineMs: Number(parts[2]),
  }
}

function macOf(facts: string, key: KeyObject): string {
  return createHmac('sha256', key).update(facts).digest('base64url')
}
