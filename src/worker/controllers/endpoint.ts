// One controller at one address: its connections, how many requests wait for it, and whether it answers at all.
import { Client, type Dispatcher, type Pool, type buildConnector } from 'undici'
import { untilAborted } from '../../platform/within.ts'
import { EndpointHealth, type ControllerChange } from './endpoint-health.ts'
import { whyOf } from './failure-reason.ts'
import { createRenewablePool, type RenewablePool } from './renewable-pool.ts'

/** A controller as a person reads it, and its URL. The name of one of several addresses has the address behind the URL. */
export type Controller = { readonly name: string; readonly url: string }

export type EndpointDeps = Controller & {
  readonly openPool: (url: string, connect: buildConnector.connector) => Pool
  readonly connect: buildConnector.connector
  readonly monotonic: () => number
  readonly random: () => number
  readonly report: (change: ControllerChange) => void
}

type SignalledRequest = Omit<Dispatcher.RequestOptions, 'signal'> & { readonly signal: AbortSignal }

/** How long a controller may be silent while requests wait; doubles while it only answers looks, up to the longest. */
const SILENCE_MS = 2000
const MAX_SILENCE_MS = 16_000
const CHECK_SILENCE_MS = 250
/** For lookup, TCP, TLS and the answer of a look. */
const LOOK_MS = 1500
/** Any identity may ask it, and it costs the controller neither a decision nor a record. */
const LOOK_PATH = '/capabilities?limit=1'

/** Invariant: there is a timer only while requests are watched. */
export class Endpoint {
  readonly controller: Controller
  readonly health: EndpointHealth
  readonly #deps: EndpointDeps
  readonly #pool: RenewablePool
  readonly #watchers = new Set<(reason: string) => void>()
  #timer: NodeJS.Timeout | undefined
  #inFlight = 0
  #heardMs = 0
  #silenceMs = SILENCE_MS
  #look: Promise<void> | undefined
  readonly #closed = new AbortController()

  constructor(deps: EndpointDeps) {
    this.#deps = deps
    this.controller = { name: deps.name, url: deps.url }
    this.health = new EndpointHealth(deps)
    this.#pool = createRenewablePool(() => deps.openPool(deps.url, deps.connect))
  }

  /** Requests without an answer so far. */
  get inFlight(): number {
    return this.#inFlight
  }

  isConnected(): boolean {
    return this.#pool.isConnected()
  }

  /**
   * Sends one request, once. `onSent`: from now on, bytes of it may have reached the controller. `signal` ends the wait at once,
   * also that for a connection.
   */
  async request({ signal, ...options }: SignalledRequest, onSent: () => void): Promise<Dispatcher.ResponseData> {
    this.#inFlight += 1
    try {
      const dispatcher = this.#pool.current().compose(notingStart(signal, onSent))
      const answer = await untilAborted(dispatcher.request({ ...options, signal }), signal)
      this.#heardMs = this.#deps.monotonic()
      this.#silenceMs = SILENCE_MS
      return answer
    } finally {
      this.#inFlight -= 1
    }
  }

  /** A call failed here. The first failure gives later calls new connections: the old ones may be dead without knowing. */
  failed(reason: string): void {
    if (this.health.failed(reason)) this.#pool.renew()
  }

  /** Calls `onHung` if the controller turns out not to answer anybody. Returns the function that ends the watch. */
  watch(onHung: (reason: string) => void): () => void {
    if (this.#watchers.size === 0) {
      this.#heardMs = this.#deps.monotonic()
      this.#timer = setInterval(() => this.#checkSilence(), CHECK_SILENCE_MS).unref()
    }
    this.#watchers.add(onHung)
    return () => {
      this.#watchers.delete(onHung)
      if (this.#watchers.size === 0) clearInterval(this.#timer)
    }
  }

  /** Asks the controller on a new connection whether it answers, and whether it is about to stop. One look at a time. */
  look(): Promise<void> {
    this.#look ??= this.#ask().finally(() => (this.#look = undefined))
    return this.#look
  }

  /** Running requests end on their connections; later ones get new connections. */
  renew(): void {
    this.#pool.renew()
  }

  /** Waits for running requests. */
  retire(): Promise<void> {
    return this.#pool.retire()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#closed.abort()
    await Promise.all([this.#look, this.#pool.close()])
  }

  #checkSilence(): void {
    if (this.#deps.monotonic() - this.#heardMs >= this.#silenceMs) void this.look()
  }

  async #ask(): Promise<void> {
    const { url, connect, monotonic } = this.#deps
    const client = new Client(url, { connect, allowH2: false })
    try {
      const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(LOOK_MS)])
      const { statusCode, headers, body } = await untilAborted(
        client.request({ path: LOOK_PATH, method: 'GET', signal }),
        signal,
      )
      await body.dump()
      this.#heardMs = monotonic()
      this.#silenceMs = Math.min(this.#silenceMs * 2, MAX_SILENCE_MS)
      if (statusCode === 503 || closes(headers)) this.failed('it is shutting down')
      else this.health.looksGood()
    } catch (error: unknown) {
      if (this.#closed.signal.aborted) return
      const reason = isTimeout(error) ? `it hangs: no answer within ${LOOK_MS} ms` : whyOf(error as Error)
      this.failed(reason)
      for (const onHung of [...this.#watchers]) onHung(reason)
    } finally {
      await client.destroy()
    }
  }
}

/** Whether the controller closes the connection after this answer: it is stopping, or has a new certificate. */
export function closes(headers: Dispatcher.ResponseData['headers']): boolean {
  return headers['connection'] === 'close'
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** undici calls `onRequestStart` immediately before it writes a request to a connection, and not at all for an aborted one. */
function notingStart(signal: AbortSignal, onSent: () => void): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart(...started) {
        // Aborted while it waited for a connection: the handler below ends it here.
        if (!signal.aborted) onSent()
        handler.onRequestStart?.(...started)
      },
      onResponseStart: (...answer) => handler.onResponseStart?.(...answer),
      onResponseData: (...data) => handler.onResponseData?.(...data),
      onResponseEnd: (...end) => handler.onResponseEnd?.(...end),
      onResponseError: (...failure) => handler.onResponseError?.(...failure),
    })
}
