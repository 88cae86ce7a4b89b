// An idempotency key in the shared store: one line of JSON, and behind it the bytes of the answer, as far as they fit into one
// message; the others are entries of their own.
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { Claim, StoredAnswer } from './key-store.ts'

export type SharedEntry = {
  readonly state: 'in_flight' | 'unknown' | 'done'
  /** The hash of the whole request, in hex. */
  readonly fingerprint: string
  readonly decisionId: string
  /** The controller process that holds the key, while it is in flight. */
  readonly owner: string
  /** Unix ms; the key can be used again then. Null while it is in flight. */
  readonly expiresMs: number | null
  /** Only if the call is done. */
  readonly answer?: StoredAnswer
  /** How many further entries the body of the answer has. */
  readonly parts?: number
}

const Head = Type.Object({
  v: Type.Literal(1),
  state: Type.Enum(['in_flight', 'unknown', 'done']),
  fingerprint: Type.String(),
  decision_id: Type.String(),
  owner: Type.String(),
  expires_ms: Type.Union([Type.Integer(), Type.Null()]),
  parts: Type.Optional(Type.Integer({ minimum: 0, maximum: 64 })),
  answer: Type.Optional(
    Type.Union([
      Type.Object({ kind: Type.Literal('answer'), status: Type.Integer(), headers: Type.Array(Type.String()) }),
      Type.Object({
        kind: Type.Literal('failure'),
        workerId: Type.Union([Type.String(), Type.Null()]),
        reason: Type.String(),
        reasonCode: Type.Optional(Type.String()),
      }),
    ]),
  ),
})
const validator = Compile(Head)
const NEW_LINE = 0x0a

/** The entry, with the first `room` bytes of the body, and the further parts of the body. */
export function encodeShared(
  entry: SharedEntry,
  room: number,
): { readonly head: Buffer; readonly parts: Uint8Array[] } {
  const { answer } = entry
  const body = answer?.kind === 'answer' ? answer.body : new Uint8Array()
  const parts: Uint8Array[] = []
  for (let at = room; at < body.length; at += room) parts.push(body.subarray(at, at + room))
  const line = JSON.stringify({
    v: 1,
    state: entry.state,
    fingerprint: entry.fingerprint,
    decision_id: entry.decisionId,
    owner: entry.owner,
    expires_ms: entry.expiresMs,
    ...(parts.length > 0 && { parts: parts.length }),
    ...(answer !== undefined && { answer: headOf(answer) }),
  })
  return { head: Buffer.concat([Buffer.from(`${line}\n`), body.subarray(0, room)]), parts }
}

/** Without the further parts of the body. @throws {Error} that says why it is no such entry */
export function decodeShared(bytes: Uint8Array): SharedEntry {
  const end = bytes.indexOf(NEW_LINE)
  const value: unknown = JSON.parse(Buffer.from(bytes.subarray(0, Math.max(end, 0))).toString())
  if (!validator.Check(value))
    throw new Error('the entry of an idempotency key has a form that this version does not know')
  const { state, fingerprint, decision_id: decisionId, owner, expires_ms: expiresMs, parts, answer } = value
  const common = { state, fingerprint, decisionId, owner, expiresMs, ...(parts !== undefined && { parts }) }
  if (answer === undefined) return common
  if (answer.kind === 'failure') {
    const { workerId, reason, reasonCode } = answer
    return { ...common, answer: { kind: 'failure', workerId, reason, reasonCode } }
  }
  return { ...common, answer: { ...answer, body: bytes.subarray(end + 1) } }
}

function headOf(answer: StoredAnswer): object {
  if (answer.kind === 'failure') return answer
  const { kind, status, headers } = answer
  return { kind, status, headers }
}

/** The hash of the whole request, in hex. */
export function fingerprintOf({ fingerprint }: Claim): string {
  return Buffer.from(fingerprint).toString('hex')
}

/** Where the entry of a claim is. */
export function keyOf({ id }: Claim): string {
  return `key.${Buffer.from(id).toString('base64url')}`
}

/** Where a further part of its answer is, from 0. */
export function partKey(claim: Claim, at: number): string {
  return `part.${Buffer.from(claim.id).toString('base64url')}.${claim.decisionId}.${at}`
}

/** Where a controller says that it runs. */
export function ownerKey(owner: string): string {
  return `owner.${owner}`
}
