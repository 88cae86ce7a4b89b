// The link of one controller to the shared store. It is either open, and every part has its view of the store, or away; it comes
// back by itself. A server that answers but has lost the majority of its cluster is away too: its leader is asked every second.
import { setTimeout as delay } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from '../../platform/logger.ts'
import { ConnectionWatch } from '../../platform/nats/connection-watch.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import { openBuckets, type Buckets, type LastRevision } from './buckets.ts'

/** The store while it is there. `signal` aborts at the end of the session; the next one is another one. */
export type StoreSession = Buckets & { readonly nc: NatsConnection; readonly signal: AbortSignal }

/**
 * What a part of the controller sees of the store. `ended` resolves with the reason if it ends before the session. `isStuck` is
 * asked every second with the last revision of each bucket: whether news has stopped coming.
 */
export type StoreView = { readonly ended: Promise<string>; readonly isStuck: (last: LastRevision) => boolean }

/** A part of the controller that uses the store. Resolves when it has its view. Rejects when the store cannot be used. */
type StorePart = (session: StoreSession) => Promise<StoreView>

type StoreLinkOptions = {
  readonly connect: () => Promise<NatsConnection>
  readonly replicas: number
  readonly monotonic: () => number
  readonly log: Pick<Logger, 'info' | 'warn'>
}

export type StoreLink = {
  /** Undefined: it is away. */
  readonly session: () => StoreSession | undefined
  /** For how long the store has been away; undefined: it is there. */
  readonly awayMs: () => number | undefined
  /** Opens this part in every session from now on, the present one included. */
  readonly join: (part: StorePart) => void
  /** Connects again, with the certificate that is current now. */
  readonly renew: () => void
  readonly close: () => Promise<void>
}

const ASK_EVERY_MS = 1000
/** An election of a new leader takes some seconds: then it was away. */
const SILENT_MS = 3000
/** A connection that has not healed itself in this time hangs in a write: another one is made. */
const UP_MS = 30_000
const RETRY_MS = 250
const MAX_RETRY_MS = 1000

export function openStoreLink(options: StoreLinkOptions): StoreLink {
  return new Link(options)
}

class Link implements StoreLink {
  readonly #options: StoreLinkOptions
  readonly #parts: StorePart[] = []
  readonly #closing = new AbortController()
  readonly #fault = createReportedFault()
  readonly #running: Promise<void>
  #again = new AbortController()
  #awaySinceMs: number | undefined
  #current: StoreSession | undefined
  #connection: ConnectionWatch | undefined

  constructor(options: StoreLinkOptions) {
    this.#options = options
    this.#awaySinceMs = options.monotonic()
    // After this turn, so that parts that join at once are in the first session.
    this.#running = Promise.resolve().then(() => this.#run())
  }

  readonly session: StoreLink['session'] = () => this.#current

  readonly awayMs: StoreLink['awayMs'] = () => {
    return this.#awaySinceMs === undefined ? undefined : this.#options.monotonic() - this.#awaySinceMs
  }

  readonly join: StoreLink['join'] = (part) => {
    this.#parts.push(part)
    this.#again.abort()
  }

  readonly renew: StoreLink['renew'] = () => {
    const old = this.#connection
    this.#connection = undefined
    this.#again.abort()
    void old?.nc.close()
  }

  readonly close: StoreLink['close'] = async () => {
    this.#closing.abort()
    await this.#connection?.nc.close()
    await this.#running
    // One that was being made.
    await this.#connection?.nc.close()
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    let retryMs = RETRY_MS
    const isOver = (): boolean => signal.aborted
    while (!isOver()) {
      try {
        const connection = await this.#connected()
        if (isOver()) break
        // At once when it is back, not with the next try.
        const isUp = await within(UP_MS, connection.up())
        if (isUp === undefined) this.renew()
        if (isUp !== true) continue
        await this.#serve(connection)
        retryMs = RETRY_MS
      } catch (cause: unknown) {
        this.#report(cause instanceof Error ? cause.message : String(cause))
        await this.#connection?.move().catch(nothing)
        await delay(retryMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(nothing)
        retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
      }
    }
  }

  async #connected(): Promise<ConnectionWatch> {
    if (this.#connection === undefined || this.#connection.isClosed()) {
      this.#connection = new ConnectionWatch(await this.#options.connect())
    }
    return this.#connection
  }

  /** One session, from its beginning to its end. */
  async #serve(connection: ConnectionWatch): Promise<void> {
    const { replicas, monotonic } = this.#options
    const over = new AbortController()
    const again = (this.#again = new AbortController())
    // Asked first: what was sent while it was lost is missing, also if it is back when all views are there.
    const loss = connection.loss()
    try {
      const signal = AbortSignal.any([over.signal, this.#closing.signal])
      const session = { ...(await openBuckets(connection.nc, replicas)), nc: connection.nc, signal }
      const views = await Promise.all(this.#parts.map((part) => part(session)))
      this.#opened(session)
      const endings = views.map(({ ended }) => ended)
      const fault = faultOf(session, views, monotonic)
      const why = await Promise.race([...endings, fault, loss, aborted(again.signal)])
      if (why !== BEGUN_AGAIN && !this.#closing.signal.aborted) this.#report(why)
    } finally {
      this.#awaySinceMs ??= monotonic()
      this.#current = undefined
      over.abort()
    }
  }

  #opened(session: StoreSession): void {
    const away_ms = Math.round(this.awayMs() ?? 0)
    this.#awaySinceMs = undefined
    this.#current = session
    this.#fault.end()
    const fields = { event: 'mesh_connected', server: session.nc.getServer(), away_ms }
    this.#options.log.info(fields, 'the shared store is used')
  }

  #report(reason: string): void {
    if (!this.#fault.isNews(reason)) return
    const message = 'the shared store is away; this controller goes on with what it knows'
    this.#options.log.warn({ event: 'mesh_away', reason }, message)
  }
}

/** Not a fault: the next session follows at once. */
const BEGUN_AGAIN = 'begun again'

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(BEGUN_AGAIN)
    signal.addEventListener('abort', () => resolve(BEGUN_AGAIN))
  })
}

/** Asks the store every second; resolves with what is wrong with it. */
async function faultOf(
  { ask, signal }: StoreSession,
  views: readonly StoreView[],
  monotonic: () => number,
): Promise<string> {
  let answeredMs = monotonic()
  while (!signal.aborted) {
    await delay(ASK_EVERY_MS, undefined, { signal, ref: false }).catch(nothing)
    // This process was stopped: nothing is known of the time between.
    if (monotonic() - answeredMs > 2 * SILENT_MS) return 'this process was stopped for a while'
    const last = await ask().catch(nothing)
    if (last !== undefined) {
      answeredMs = monotonic()
      // Each of them, every time: they count.
      if (views.map(({ isStuck }) => isStuck(last)).includes(true)) return 'its changes do not arrive'
    } else if (monotonic() - answeredMs > SILENT_MS) return 'its leader does not answer'
  }
  return 'closed'
}

function nothing(): undefined {
  // The wait was cut short, or there is no answer.
}
