// On the path of every call. Checks the head of an answer in front of undici's parser, which fails on an interim 100 and
// accepts a status line of another HTTP version.
import type { TLSSocket } from 'node:tls'
import { errors, type buildConnector } from 'undici'
import { createGatheredWrites } from '../../platform/gathered-writes.ts'

const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})[ \r]/
const STATUS_LINE_BYTES = 13
const END_OF_HEAD = '\r\n\r\n'
const MAX_INTERIM_BYTES = 16 * 1024
const REQUEST_LINE = /^[A-Z]+ \//

/**
 * The connector, with every socket guarded. Requires one request at a time on each socket: `pipelining: 1`. `onBytes`: called
 * for the parts of bodies, in both directions.
 */
export function guardingHeads(
  connect: buildConnector.connector,
  onBytes: (bytes: number) => void = () => undefined,
): buildConnector.connector {
  return (options, callback) => {
    connect(options, (...[error, socket]: Parameters<buildConnector.Callback>) => {
      if (error === null) callback(null, guardHeads(socket as TLSSocket, onBytes))
      else callback(error, null)
    })
  }
}

function guardHeads(socket: TLSSocket, onBytes: (bytes: number) => void): TLSSocket {
  const read: (size?: number) => Buffer | null = socket.read.bind(socket)
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  const gathered = createGatheredWrites(socket)
  /** Between a request and the final status line of its answer: the bytes held back so far. */
  let held: Buffer | undefined

  socket.write = (chunk: unknown, ...rest: unknown[]) => {
    // undici writes the head of a request as one string; for a body it writes only bytes and the sizes of chunks.
    if (typeof chunk === 'string' && REQUEST_LINE.test(chunk)) held = Buffer.alloc(0)
    if (!(chunk instanceof Uint8Array)) return write(chunk, ...rest)
    onBytes(chunk.length)
    return gathered.write(chunk.length, () => write(chunk, ...rest))
  }
  socket.read = (size?: number) => {
    for (;;) {
      const chunk = read(size)
      if (chunk !== null) onBytes(chunk.length)
      if (held === undefined || chunk === null) return chunk
      const head = withoutInterim(held.length === 0 ? chunk : Buffer.concat([held, chunk]))
      if (head.state === 'final') {
        held = undefined
        return head.bytes
      }
      if (head.state === 'invalid') {
        socket.destroy(new errors.HTTPParserError(head.reason))
        return null
      }
      held = head.bytes
    }
  }
  return socket
}

type Head =
  { readonly state: 'final' | 'more'; readonly bytes: Buffer } | { readonly state: 'invalid'; readonly reason: string }

/** Drops whole interim answers, as a client may that did not ask for one (RFC 9110, 15.2). We never ask for 101. */
function withoutInterim(bytes: Buffer): Head {
  let rest = bytes
  for (;;) {
    if (rest.length < STATUS_LINE_BYTES) return { state: 'more', bytes: rest }
    const status = STATUS_LINE.exec(rest.toString('latin1', 0, STATUS_LINE_BYTES))?.[1]
    if (status === undefined)
      return { state: 'invalid', reason: 'the answer does not begin with HTTP/1.1 and a status' }
    if (status === '101') return { state: 'invalid', reason: 'the answer switches protocols' }
    if (!status.startsWith('1')) return { state: 'final', bytes: rest }
    const end = rest.indexOf(END_OF_HEAD)
    if (end < 0 && rest.length > MAX_INTERIM_BYTES) return { state: 'invalid', reason: 'an interim answer is too long' }
    if (end < 0) return { state: 'more', bytes: rest }
    rest = rest.subarray(end + END_OF_HEAD.length)
  }
}
