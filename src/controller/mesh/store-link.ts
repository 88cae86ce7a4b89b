// The link of one controller to the shared store. It is either open, with a view of everything in the store, or away; it comes
// back by itself. A server that answers but has lost the majority of its cluster is away too: its leader is asked every second.
import { setTimeout as delay } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from '../../platform/logger.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'

/** An open view of the store. */
export type StoreSession = {
  /** Asks the leaders for anything. @throws when there is no answer in time */
  readonly ask: () => Promise<unknown>
  /** Resolves with the reason when the view has ended by itself. */
  readonly ended: Promise<string>
}

type StoreLinkOptions = {
  readonly connect: () => Promise<NatsConnection>
  /** Opens a view; `signal` aborts when the session is over. */
  readonly open: (nc: NatsConnection, signal: AbortSignal) => Promise<StoreSession>
  readonly monotonic: () => number
  readonly log: Pick<Logger, 'info' | 'warn'>
}

export type StoreLink = {
  /** For how long the store has been away; undefined: it is there. */
  readonly awayMs: () => number | undefined
  /** Resolves when the first view is complete, or never. */
  readonly opened: Promise<void>
  readonly close: () => Promise<void>
}

const ASK_EVERY_MS = 1000
/** An election of a new leader takes some seconds: then it was away. */
const SILENT_MS = 3000
const RETRY_MS = 250
const MAX_RETRY_MS = 5000

export function openStoreLink({ connect, open, monotonic, log }: StoreLinkOptions): StoreLink {
  const closing = new AbortController()
  const first = Promise.withResolvers<undefined>()
  const fault = createReportedFault()
  let awaySinceMs: number | undefined = monotonic()
  let nc: NatsConnection | undefined
  const isClosing = (): boolean => closing.signal.aborted

  async function run(): Promise<void> {
    let retryMs = RETRY_MS
    while (!isClosing()) {
      try {
        if (nc === undefined || nc.isClosed()) nc = await connect()
        await serve(nc)
        retryMs = RETRY_MS
      } catch (cause: unknown) {
        report(cause instanceof Error ? cause.message : String(cause))
        retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
      }
      await delay(retryMs * (0.5 + Math.random()), undefined, { signal: closing.signal, ref: false }).catch(
        () => undefined,
      )
    }
  }

  /** One session, from its beginning to its end. */
  async function serve(connection: NatsConnection): Promise<void> {
    const over = new AbortController()
    try {
      const session = await open(connection, AbortSignal.any([over.signal, closing.signal]))
      const awayFor = awaySinceMs === undefined ? 0 : Math.round(monotonic() - awaySinceMs)
      awaySinceMs = undefined
      fault.end()
      log.info(
        { event: 'mesh_connected', server: connection.getServer(), away_ms: awayFor },
        'the shared store is used',
      )
      first.resolve(undefined)
      const why = await Promise.race([session.ended, silenceOf(session, over.signal), loss(connection)])
      if (!isClosing()) report(why)
    } finally {
      awaySinceMs ??= monotonic()
      over.abort()
    }
  }

  async function silenceOf(session: StoreSession, signal: AbortSignal): Promise<string> {
    let answeredMs = monotonic()
    while (!signal.aborted) {
      await delay(ASK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined)
      const askedMs = monotonic()
      // This process was stopped: nothing is known of the time between.
      if (askedMs - answeredMs > 2 * SILENT_MS) return 'this process was stopped for a while'
      const ok = await session.ask().then(
        () => true,
        () => false,
      )
      if (ok) answeredMs = monotonic()
      else if (monotonic() - answeredMs > SILENT_MS) return 'its leader does not answer'
    }
    return 'closed'
  }

  function report(reason: string): void {
    if (!fault.isNews(reason)) return
    const message = 'the shared store is away; this controller goes on with what it knows'
    log.warn({ event: 'mesh_away', reason }, message)
  }

  const running = run()
  return {
    awayMs: () => (awaySinceMs === undefined ? undefined : monotonic() - awaySinceMs),
    opened: first.promise,
    async close() {
      closing.abort()
      await nc?.close()
      await running
    },
  }
}

/** Resolves when the connection is lost, or closed. */
async function loss(connection: NatsConnection): Promise<string> {
  for await (const { type } of connection.status()) {
    if (type === 'disconnect' || type === 'staleConnection') return 'the connection was lost'
  }
  return 'the connection was closed'
}
