// Callers that call all the time, by the client of the worker runtime with all controllers in its list: half of them with
// idempotency keys.
import { randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { createPeerVerifier } from '../../src/platform/svid/verify.ts'
import { loadCredentials } from '../../src/platform/tls/credentials.ts'
import { createControllerClient, type ControllerClient } from '../../src/worker/controller-client.ts'
import { STREAMING, TRUST_DOMAIN, type Parties } from '../fixtures/parties.ts'
import { createLiveSource } from '../fixtures/pki/live-source.ts'

const LANES = 16

/** Calls as fast as some lanes can, each without a key. Throws unless all are answered 200. */
export async function callAll(parties: Parties, urls: readonly string[], count: number): Promise<void> {
  const client = createControllerClient({
    controllerUrls: urls,
    controllerId: parseSpiffeId(`spiffe://${TRUST_DOMAIN}/controller`),
    source: createLiveSource(await loadCredentials(await parties.filesOf(STREAMING), Date.now)),
    verifier: createPeerVerifier({ now: Date.now }),
  })
  let left = count
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const { status, says } = await call(client, undefined)
      if (status !== 200) throw new Error(`a call got ${status}: ${says}`)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  await client.close()
}

/** `status` 0: there was no answer. Times in ms of `performance.now()`. */
export type Told = {
  readonly startMs: number
  readonly endMs: number
  readonly status: number
  readonly says: string
  readonly key: string | undefined
}

export type Callers = {
  readonly told: readonly Told[]
  readonly close: () => Promise<void>
}

const COUNT = 6
const PAUSE_MS = 10
/** Longer than the store of keys is without a leader, and than a process is stopped. */
const TIMEOUT_MS = 30_000

export async function startCallers(parties: Parties, urls: readonly string[]): Promise<Callers> {
  const source = createLiveSource(await loadCredentials(await parties.filesOf(STREAMING), Date.now))
  const told: Told[] = []
  const stop = new AbortController()
  const client = createControllerClient({
    controllerUrls: urls,
    controllerId: parseSpiffeId(`spiffe://${TRUST_DOMAIN}/controller`),
    source,
    verifier: createPeerVerifier({ now: Date.now }),
  })
  const running = Array.from({ length: COUNT }, async (_, at) => {
    while (!stop.signal.aborted) {
      told.push(await call(client, at % 2 === 0 ? randomUUID() : undefined))
      await delay(PAUSE_MS)
    }
  })
  return {
    told,
    async close() {
      stop.abort()
      await Promise.all(running)
      await client.close()
    },
  }
}

async function call(client: ControllerClient, key: string | undefined): Promise<Told> {
  const startMs = performance.now()
  const body = { verb: 'invoke', capability: 'swarm_0', payload: {}, timeout_ms: TIMEOUT_MS }
  const ended = (status: number, says: string): Told => ({ startMs, endMs: performance.now(), status, says, key })
  try {
    const answer = await client.route(key === undefined ? body : { ...body, idempotency_key: key })
    return ended(answer.status, await text(answer.body))
  } catch (cause: unknown) {
    return ended(0, cause instanceof Error ? cause.message : String(cause))
  }
}
