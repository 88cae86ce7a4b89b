// A TCP proxy with faults that are switched while it runs. Every random choice comes from one seed, so that a run with the
// same seed and the same traffic makes the same choices.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Left out: not a fault. Bytes are counted on each connection, from the target to the client. */
export type LinkFault = {
  /** Added to every chunk, each way. */
  readonly latencyMs?: number
  /** Up to so much more, at random. */
  readonly jitterMs?: number
  /** The share of chunks that come a retransmission timeout late, as a lost TCP segment does; 0 to 1. */
  readonly loss?: number
  /** The answer comes in pieces of so many bytes, one for each `everyMs`. */
  readonly drip?: { readonly bytes: number; readonly everyMs: number }
  /** Nothing passes, in either direction, and nothing is closed. What was held passes when the fault ends. */
  readonly silence?: boolean
  /** Ends the connection as if complete (FIN) after so many bytes of the answer. */
  readonly truncateAfter?: number
  /** Resets the connection (RST) after so many bytes of the answer. */
  readonly resetAfter?: number
  /** Connections are refused; open ones stay. */
  readonly refuse?: boolean
}

export type FaultProxy = {
  readonly port: number
  readonly seed: number
  /** Replaces the fault of open and new connections. */
  readonly set: (fault: LinkFault) => Promise<void>
  /** Resets every open connection. Returns how many there were. */
  readonly resetAll: () => number
  /** How many connections it has taken. */
  readonly connections: () => number
  readonly close: () => Promise<void>
}

type Target = { readonly port: number; readonly host?: string }

/** How late a lost segment arrives: the least retransmission timeout of Linux. */
const RETRANSMISSION_MS = 200
const POLL_MS = 5

/** Listens on a free loopback port, and passes everything to `target`. */
export async function startFaultProxy(target: Target, { seed, random }: Chance): Promise<FaultProxy> {
  const pairs = new Set<readonly [client: Socket, target: Socket]>()
  let fault: LinkFault = {}
  let taken = 0
  const link = { fault: () => fault, random }

  function accept(client: Socket): void {
    taken += 1
    const server = connect({ host: target.host ?? '127.0.0.1', port: target.port })
    const pair = [client, server] as const
    pairs.add(pair)
    for (const [own, other] of [pair, [server, client] as const]) {
      own.setNoDelay(true)
      own.on('error', () => void other.resetAndDestroy())
      own.once('close', () => {
        pairs.delete(pair)
        other.destroySoon()
      })
    }
    void pump(client, server, { ...link, isAnswer: false })
    void pump(server, client, { ...link, isAnswer: true })
  }

  let server = await listen(accept, 0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    seed,
    async set(next) {
      fault = next
      if (next.refuse === true && server.listening) server.close()
      else if (next.refuse !== true && !server.listening) server = await listen(accept, port)
    },
    resetAll() {
      const open = [...pairs]
      for (const sockets of open) for (const socket of sockets) socket.resetAndDestroy()
      return open.length
    },
    connections: () => taken,
    async close() {
      for (const sockets of pairs) for (const socket of sockets) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

type Chance = { readonly seed: number; readonly random: () => number }
type Link = { readonly fault: () => LinkFault; readonly random: () => number; readonly isAnswer: boolean }

/** Passes what `from` sends to `to`, in order, until one of them ends. */
async function pump(from: Socket, to: Socket, link: Link): Promise<void> {
  let passed = 0
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      await held(link, to)
      await delayed(link)
      const limit = link.isAnswer ? limitOf(link.fault()) : undefined
      const bytes = limit === undefined ? chunk : chunk.subarray(0, Math.max(limit.after - passed, 0))
      if (!(await written(to, bytes, link))) return
      passed += bytes.length
      if (limit === undefined || passed < limit.after) continue
      if (limit.isReset) to.resetAndDestroy()
      else to.end()
      from.destroy()
      return
    }
    to.end()
  } catch {
    // A reset of one side: the other one is told by the listeners of both.
  }
}

/** Waits while the link is silent. */
async function held({ fault }: Link, to: Socket): Promise<void> {
  while (fault().silence === true && !to.destroyed) await delay(POLL_MS)
}

async function delayed({ fault, random }: Link): Promise<void> {
  const { latencyMs = 0, jitterMs = 0, loss = 0 } = fault()
  const late = loss > 0 && random() < loss ? RETRANSMISSION_MS : 0
  const waitMs = latencyMs + (jitterMs > 0 ? jitterMs * random() : 0) + late
  if (waitMs > 0) await delay(waitMs)
}

function limitOf({ truncateAfter, resetAfter }: LinkFault): { after: number; isReset: boolean } | undefined {
  if (resetAfter !== undefined) return { after: resetAfter, isReset: true }
  return truncateAfter === undefined ? undefined : { after: truncateAfter, isReset: false }
}

/** False when the receiver is gone. */
async function written(to: Socket, bytes: Buffer, { fault, isAnswer }: Link): Promise<boolean> {
  for (let at = 0; at < bytes.length && to.writable;) {
    const drip = isAnswer ? fault().drip : undefined
    const end = drip === undefined ? bytes.length : at + drip.bytes
    if (!to.write(bytes.subarray(at, end))) await Promise.race([once(to, 'drain'), once(to, 'close')])
    at = end
    if (drip !== undefined) await delay(drip.everyMs)
  }
  return to.writable
}

async function listen(accept: (client: Socket) => void, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, accept)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}
