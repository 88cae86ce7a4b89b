// Paces TLS handshakes: one costs as much as several calls, and anyone may ask for any number. At most one begins per turn of
// the event loop; while there are calls, the next one waits for a multiple of what a handshake costs on this machine. The
// others wait as bare sockets, by address in turn, and those that wait too long are dropped.
import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import { FairLine } from '../../platform/fair-line.ts'
import { HANDSHAKE_TIMEOUT_MS } from '../../platform/tls/tls.ts'

type HandshakeLineOptions = {
  /** Begins a handshake. */
  readonly begin: (socket: Socket) => void
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
/** A handshake that was measured while the machine stood still must not keep the next ones away for seconds. */
const MAX_PAUSE_MS = 50
/** How much one handshake counts in the averages. */
const WEIGHT = 0.05
const LOOK_MS = 100
/** A peer that says nothing for so long is left to Node, whose limit for handshakes then begins. */
const SILENT_MS = 500

export class HandshakeLine {
  readonly #options: HandshakeLineOptions
  readonly #line = new FairLine<Waiting>()
  /** Connections without a byte, and since when: only with its first bytes can the cost of a handshake be measured. */
  readonly #silent = new Map<Socket, number>()
  readonly #pause = createPause()
  /** Set while the turn of the next one is planned. */
  #next: { readonly cancel: () => void } | undefined
  #nextMs = 0
  #lookout: NodeJS.Timeout | undefined

  constructor(options: HandshakeLineOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#line.size
  }

  add(socket: Socket): void {
    this.#silent.set(socket, this.#options.monotonic())
    this.#lookout ??= setInterval(() => this.#look(), LOOK_MS)
    socket.on('error', ignore).once('readable', () => {
      if (this.#silent.has(socket)) this.#speaks(socket)
    })
  }

  /** A peer was identified: handshakes may take more of the time. */
  identified(): void {
    this.#pause.identified()
  }

  /** Drops those that wait. */
  close(): void {
    this.#next?.cancel()
    clearInterval(this.#lookout)
    for (const { socket } of this.#line.drop(() => true)) socket.destroy()
    for (const socket of this.#silent.keys()) socket.destroy()
  }

  /** Its first bytes are there, or it has left. */
  #speaks(socket: Socket): void {
    this.#silent.delete(socket)
    if (this.#next !== undefined || !this.#isDue()) {
      this.#wait(socket)
      return
    }
    this.#begin(socket)
    // Whoever comes in this turn waits for the next one.
    this.#plan(0)
  }

  #isDue(): boolean {
    return !this.#options.isBusy() || this.#options.monotonic() >= this.#nextMs
  }

  #begin(socket: Socket): void {
    const { begin, monotonic } = this.#options
    const isMeasurable = socket.readableLength > 0
    const startMs = monotonic()
    socket.off('error', ignore)
    this.#pause.begun()
    begin(socket)
    this.#nextMs = startMs + this.#pause.ms()
    if (!isMeasurable) return
    // After Node's own, which answers the bytes that are there already.
    process.nextTick(() => {
      this.#pause.measured(monotonic() - startMs)
      this.#nextMs = monotonic() + this.#pause.ms()
    })
  }

  #wait(socket: Socket): void {
    if (this.#line.size >= this.#options.maxWaiting) this.#drop(this.#line.dropNewest())
    const untilMs = this.#options.monotonic() + HANDSHAKE_TIMEOUT_MS
    this.#line.add(socket.remoteAddress ?? '', { socket, untilMs })
    if (this.#next === undefined) this.#planNext()
  }

  #serve(): void {
    this.#next = undefined
    const waiting = this.#isDue() ? this.#line.next() : undefined
    if (waiting !== undefined) this.#begin(waiting.socket)
    if (this.#line.size > 0) this.#planNext()
  }

  #planNext(): void {
    this.#plan(this.#options.isBusy() ? this.#nextMs - this.#options.monotonic() : 0)
  }

  /** 0: in the next turn of the event loop. */
  #plan(waitMs: number): void {
    if (waitMs > 0) {
      const timer = setTimeout(() => this.#serve(), waitMs)
      this.#next = { cancel: () => clearTimeout(timer) }
    } else {
      const turn = setImmediate(() => this.#serve())
      this.#next = { cancel: () => clearImmediate(turn) }
    }
  }

  #look(): void {
    const now = this.#options.monotonic()
    const dropped = this.#line.drop(({ socket, untilMs }) => socket.destroyed || untilMs < now)
    for (const waiting of dropped) this.#drop(waiting)
    for (const [socket, sinceMs] of this.#silent) {
      if (now - sinceMs >= SILENT_MS || socket.destroyed) this.#speaks(socket)
    }
    if (this.#line.size > 0 || this.#silent.size > 0) return
    clearInterval(this.#lookout)
    this.#lookout = undefined
  }

  #drop(waiting: Waiting | undefined): void {
    if (waiting === undefined) return
    waiting.socket.destroy()
    this.#options.onDropped()
  }
}

/** Puts the line before the handshakes of a server. Call it before the server listens, and before others listen to its connections. */
export function paceHandshakes(server: Server, options: Omit<HandshakeLineOptions, 'begin'>): HandshakeLine {
  // Node's own listener, which begins the handshake; a socket that is given to it later is read from its first byte.
  const begins = server.listeners('connection')
  server.removeAllListeners('connection')
  const line = new HandshakeLine({
    ...options,
    begin: (socket) => {
      for (const listener of begins) listener.call(server, socket)
    },
  })
  server.on('connection', (socket: Socket) => line.add(socket))
  return line
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
      return Math.min(MAX_PAUSE_MS, costMs * (PAUSE.ifBad + (PAUSE.ifGood - PAUSE.ifBad) * goodPart))
    },
  }
}
