// A checkpoint says that an audit log had a record with this number and this hash at this time. Its form is that of the
// checkpoints of transparency logs (c2sp.org/tlog-checkpoint): lines with the origin, the number of records and a hash, then one
// more with the time. The hash is that of the last record, which covers all before it; it is not the root of a tree.
import { isText } from './record-members.ts'
import type { Head } from './chain.ts'
import { parseNote, type Note, type NoteSigner } from './signed-note.ts'

/** `origin`: `<name of the key>/<slot>`. `note`: undefined when it is not signed. */
export type Checkpoint = Head & {
  readonly origin: string
  readonly slot: number
  readonly time: string
  readonly note: Note | undefined
}

const HASH_BYTES = 32
/** No log gets so far in 300 years. Whoever believed a larger number would run out of numbers. */
const MAX_SEQ = 2 ** 50
const ORIGIN = /^[\x21-\x2a\x2c-\x7e]+\/(0|[1-9][0-9]{0,5})$/
const SEQ = /^(?:0|[1-9][0-9]{0,15})$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/
const SIGNATURES = '\u2014 '

/** The name of the key that signs the checkpoints of a controller: `crank.local/controller/audit`. */
export function checkpointKeyName(controllerId: string): string {
  return `${controllerId.replace(/^spiffe:\/\//, '')}/audit`
}

export function checkpointOrigin(keyName: string, slot: number): string {
  return `${keyName}/${slot}`
}

/** A checkpoint as text: a signed note, or without `signer` only what would be signed. `time`: RFC 3339, UTC. */
export function checkpointText(
  { origin, seq, hash, time }: Head & { readonly origin: string; readonly time: string },
  signer?: NoteSigner,
): string {
  const body = `${origin}\n${seq}\n${Buffer.from(hash, 'hex').toString('base64')}\n${time}\n`
  return signer === undefined ? body : signer.sign(body)
}

/** `broken`: how many pieces of the text are no checkpoint. */
type ParsedCheckpoints = { readonly found: readonly Checkpoint[]; readonly broken: number }

/** The checkpoints of a text in which they follow each other, with an empty line between them. */
export function parseCheckpoints(text: string): ParsedCheckpoints {
  const found: Checkpoint[] = []
  let broken = 0
  const blocks = text
    .replaceAll('\r\n', '\n')
    .split(/\n\n+/)
    .map((block) => block.replace(/^\n+|\n+$/g, ''))
  for (let at = 0; at < blocks.length; at++) {
    const [block = '', next = ''] = [blocks[at], blocks[at + 1]]
    if (block === '') continue
    const isSigned = next.startsWith(SIGNATURES)
    if (isSigned) at++
    const checkpoint = parseOne(`${block}\n`, isSigned ? `${next}\n` : undefined)
    if (checkpoint === undefined) broken++
    else found.push(checkpoint)
  }
  return { found, broken }
}

/** The checkpoints in an answer: its text, or every text member `checkpoint` of its JSON, as `/health` has them. */
export function checkpointsIn(answer: string): ParsedCheckpoints {
  const json = parseJson(answer)
  const all = (json === undefined ? [answer] : textsNamed('checkpoint', json)).map(parseCheckpoints)
  return {
    found: all.flatMap(({ found }) => found),
    broken: all.reduce((sum, { broken }) => sum + broken, 0),
  }
}

function parseOne(body: string, signatures: string | undefined): Checkpoint | undefined {
  const [origin = '', seq = '', encoded = '', time = '', ...others] = body.slice(0, -1).split('\n')
  const [, slot] = ORIGIN.exec(origin) ?? []
  const hash = Buffer.from(encoded, 'base64')
  if (slot === undefined || !SEQ.test(seq) || Number(seq) > MAX_SEQ || !TIME.test(time) || others.includes(''))
    return undefined
  if (hash.length !== HASH_BYTES || hash.toString('base64') !== encoded) return undefined
  const note = signatures === undefined ? undefined : parseNote(`${body}\n${signatures}`)
  if (signatures !== undefined && note === undefined) return undefined
  return { origin, slot: Number(slot), seq: Number(seq), hash: hash.toString('hex'), time, note }
}

function textsNamed(name: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) =>
    key === name && isText(member) ? [member] : textsNamed(name, member),
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
