// Whether a connection to NATS is there. It heals itself: it is lost and comes back until it is closed.
import type { NatsConnection } from '@nats-io/transport-node'

type State = 'up' | 'lost' | 'closed'

const LOST: ReadonlySet<string> = new Set(['disconnect', 'staleConnection', 'forceReconnect'])

export class ConnectionWatch {
  readonly nc: NatsConnection
  #state: State = 'up'
  #change = Promise.withResolvers<undefined>()

  constructor(nc: NatsConnection) {
    this.nc = nc
    void this.#follow()
  }

  isClosed(): boolean {
    return this.#state === 'closed'
  }

  isUp(): boolean {
    return this.#state === 'up'
  }

  /** Resolves when it is there; false: it never will be. */
  async up(): Promise<boolean> {
    while (this.#state === 'lost') await this.#change.promise
    return this.#state === 'up'
  }

  /** Resolves with the reason when it is not there. */
  async loss(): Promise<string> {
    while (this.#state === 'up') await this.#change.promise
    return `the connection was ${this.#state}`
  }

  /** Goes on with another server, if there is one: this one may be cut off from the others. */
  async move(): Promise<void> {
    // One that is lost, or closed, moves by itself.
    if (this.#state === 'up') await this.nc.reconnect()
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.nc.status()) {
      if (LOST.has(type)) this.#set('lost')
      else if (type === 'reconnect') this.#set('up')
    }
    this.#set('closed')
  }

  #set(state: State): void {
    this.#state = state
    this.#change.resolve(undefined)
    this.#change = Promise.withResolvers()
  }
}
