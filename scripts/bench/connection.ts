// One keep-alive mTLS connection that sends prepared bytes and reads just enough of an answer to find its end: a load
// generator must not cost more than what it measures.
import { once } from 'node:events'
import { connect, type ConnectionOptions } from 'node:tls'

type OnAnswer = (isOk: boolean) => void
export type Connection = {
  /** One request at a time; `onAnswer` is called when its answer is complete, with whether it was a 200. */
  readonly send: (request: Buffer, onAnswer: OnAnswer) => void
  readonly close: () => void
}

const END_OF_HEADERS = '\r\n\r\n'
const OK = 'HTTP/1.1 200 '
const LENGTH = /\r\ncontent-length: *(\d+)/i

/** Opens a connection to loopback. `onFault` is called when it fails: it broke, or an answer has no length. */
export async function openConnection(options: ConnectionOptions, onFault: (error: Error) => void): Promise<Connection> {
  const socket = connect({ ...options, host: '127.0.0.1', minVersion: 'TLSv1.3', checkServerIdentity: () => undefined })
  socket.setNoDelay(true)
  await once(socket, 'secureConnect')
  let waiting: OnAnswer | undefined
  let isOk = false
  let head = ''
  let bodyLeft = -1

  const finish = (): void => {
    const answered = waiting
    waiting = undefined
    bodyLeft = -1
    answered?.(isOk)
  }
  const readHead = (chunk: Buffer): void => {
    head += chunk.toString('latin1')
    const end = head.indexOf(END_OF_HEADERS)
    if (end === -1) return
    const length = LENGTH.exec(head.slice(0, end))?.[1]
    if (length === undefined) onFault(new Error(`an answer without a length: ${head.slice(0, 1000)}`))
    isOk = head.startsWith(OK)
    bodyLeft = Number(length) - (head.length - end - END_OF_HEADERS.length)
    head = ''
  }
  socket.on('data', (chunk: Buffer) => {
    if (bodyLeft < 0) readHead(chunk)
    else bodyLeft -= chunk.length
    if (bodyLeft === 0) finish()
  })
  socket.on('error', onFault)
  socket.on('close', () => {
    if (waiting !== undefined) onFault(new Error('the server closed a connection during a request'))
  })
  return {
    send(request, onAnswer) {
      waiting = onAnswer
      socket.write(request)
    },
    close: () => socket.destroy(),
  }
}
