// Paces TLS handshakes: one costs as much as several calls, and anyone may ask for any number. At most one begins per turn of
// the event loop; while there are calls, the next one waits for a multiple of what a handshake costs on this machine. The
// others wait as bare sockets, by address in turn, and those that wait too long are dropped.
import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import { FairLine } from '../../platform/fair-line.ts'
import { HANDSHAKE_TIMEOUT_MS } from '../../platform/tls/tls.ts'

export type HandshakeLine = {
  /** A peer of a handshake was identified: handshakes may take more of the time. */
  readonly identified: () => void
  readonly waiting: () => number
  /** Drops those that wait. */
  readonly close: () => void
}

type HandshakeLineOptions = {
  readonly monotonic: () => number
  /** Whether there are calls that handshakes would delay. */
  readonly isBusy: () => boolean
  readonly maxWaiting: number
  readonly onDropped: () => void
}

type Waiting = { readonly socket: Socket; readonly untilMs: number }

/**
 * How long the next handshake waits, in units of the first half of a handshake, which can be measured; the second half and the
 * first request cost about twice as much. If every peer is identified, handshakes may take three quarters of the time; if none
 * is, a third.
 */
const PAUSE = { ifGood: 3, ifBad: 8 }
/** How much one handshake counts in the averages. */
const WEIGHT = 0.05
const LOOK_MS = 100
/** A peer that says nothing for so long is left to Node, whose limit for handshakes then begins. */
const SILENT_MS = 500

/** Call it before the server listens, and before others listen to its connections. */
export function paceHandshakes(server: Server, options: HandshakeLineOptions): HandshakeLine {
  const { monotonic, isBusy, maxWaiting, onDropped } = options
  // Node's own listener, which begins the handshake. A socket that is given to it later is read from its first byte.
  const begins = server.listeners('connection')
  const line = new FairLine<Waiting>()
  const pause = createPause()
  let nextMs = 0
  let next: { readonly cancel: () => void } | undefined
  let lookout: NodeJS.Timeout | undefined
  /** Connections without a byte, and since when: only with its first bytes can the cost of a handshake be measured. */
  const silent = new Map<Socket, number>()

  function begin(socket: Socket): void {
    const isMeasurable = socket.readableLength > 0
    socket.off('error', ignore)
    const startMs = monotonic()
    pause.begun()
    for (const listener of begins) listener.call(server, socket)
    nextMs = startMs + pause.ms()
    if (!isMeasurable) return
    // After Node's own, which answers the bytes that are there already.
    process.nextTick(() => {
      pause.measured(monotonic() - startMs)
      nextMs = monotonic() + pause.ms()
    })
  }

  function serve(): void {
    next = undefined
    if (!isBusy() || monotonic() >= nextMs) {
      const waiting = line.next()
      if (waiting !== undefined) begin(waiting.socket)
    }
    if (line.size > 0) schedule()
  }

  function schedule(): void {
    const waitMs = isBusy() ? nextMs - monotonic() : 0
    if (waitMs > 0) {
      const timer = setTimeout(serve, waitMs)
      next = { cancel: () => clearTimeout(timer) }
    } else {
      const turn = setImmediate(serve)
      next = { cancel: () => clearImmediate(turn) }
    }
  }

  function wait(socket: Socket): void {
    if (line.size >= maxWaiting) dropped(line.dropNewest())
    line.add(socket.remoteAddress ?? '', { socket, untilMs: monotonic() + HANDSHAKE_TIMEOUT_MS })
    if (next === undefined) schedule()
  }

  function look(): void {
    const now = monotonic()
    for (const waiting of line.drop(({ socket, untilMs }) => socket.destroyed || untilMs < now)) dropped(waiting)
    for (const [socket, sinceMs] of silent) if (now - sinceMs >= SILENT_MS || socket.destroyed) speaks(socket)
    if (line.size === 0 && silent.size === 0) stopLooking()
  }

  function stopLooking(): void {
    clearInterval(lookout)
    lookout = undefined
  }

  function dropped(waiting: Waiting | undefined): void {
    if (waiting === undefined) return
    waiting.socket.destroy()
    onDropped()
  }

  /** Its first bytes are there, or it has left. */
  function speaks(socket: Socket): void {
    silent.delete(socket)
    if (next === undefined && (!isBusy() || monotonic() >= nextMs)) {
      begin(socket)
      // Whoever comes in this turn waits for the next one.
      next = { cancel: ignore }
      setImmediate(serve)
    } else wait(socket)
  }

  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    silent.set(socket, monotonic())
    lookout ??= setInterval(look, LOOK_MS)
    socket.on('error', ignore).once('readable', () => {
      if (silent.has(socket)) speaks(socket)
    })
  })
  return {
    identified: pause.identified,
    waiting: () => line.size,
    close() {
      next?.cancel()
      stopLooking()
      for (const { socket } of line.drop(() => true)) socket.destroy()
      for (const socket of silent.keys()) socket.destroy()
    },
  }
}

function ignore(): void {
  // The socket is destroyed then, and dropped from the line.
}

/** The pause after a handshake: from its measured cost, and from how many of the last ones led to a verified identity. */
function createPause() {
  let costMs = 0
  let begun = 0
  let good = 0
  return {
    begun() {
      begun = begun * (1 - WEIGHT) + 1
      good *= 1 - WEIGHT
    },
    identified: (): void => void (good += 1),
    measured: (ms: number): void => void (costMs = costMs === 0 ? ms : costMs + (ms - costMs) * WEIGHT),
    ms(): number {
      const goodPart = begun === 0 ? 1 : Math.min(1, good / begun)
      return costMs * (PAUSE.ifBad + (PAUSE.ifGood - PAUSE.ifBad) * goodPart)
    },
  }
}
