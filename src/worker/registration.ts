// Keeps one worker registered, once for all controllers of a mesh: registers at one, sends heartbeats to it or, while it does not
// answer, to another with the same lease; registers again when the lease is lost, deregisters at the end.
import { setTimeout as delay } from 'node:timers/promises'
import type { DeregisterBody, RegisterBody } from '../core/wire.ts'
import type { Logger } from '../platform/logger.ts'
import { createReportedFault } from '../platform/reported-fault.ts'
import type { ControllerClient } from './controller-client.ts'
import { createHome } from './home-controller.ts'
import { deregister, heartbeat, register, type Refusal } from './registration-calls.ts'

export type Registration = {
  /** Resolves with the first registration. Never rejects: a denied or unreachable registration is retried forever. */
  readonly registered: Promise<void>
  isRegistered(): boolean
  /** Stops and deregisters the worker; at most 2 s, never rejects. */
  close(): Promise<void>
}

type RegistrationOptions = {
  readonly client: Pick<ControllerClient, 'post'>
  readonly body: RegisterBody
  /** Number of running calls, sent with each heartbeat. */
  readonly load: () => number
  readonly log: Logger
  /** Returns a number from 0 to below 1. */
  readonly random: () => number
  readonly deniedRetryMs?: number
  readonly firstRetryMs?: number
}

type Lease = { readonly lease: string; readonly intervalMs: number }

const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 10_000
/** Only an operator can lift a denial, so retries are rare. */
const DENIED_RETRY_MS = 30_000
const MAX_REJOIN_JITTER_MS = 1_000
/** Fractions of the interval. With the wait before a new registration (a tenth), a lost lease is replaced within one interval. */
const HEARTBEAT_AFTER = { least: 0.7, spread: 0.2 }

/** Starts at once and runs until `close`. */
export function startRegistration(options: RegistrationOptions): Registration {
  const { client, body, log, random } = options
  const stop = new AbortController()
  const first = Promise.withResolvers<undefined>()
  const trouble = createTroubleLog(log)
  const home = createHome(log)
  let current: Lease | undefined
  const running = run()
  return {
    registered: first.promise,
    isRegistered: () => current !== undefined,
    async close() {
      stop.abort()
      await running
      if (current !== undefined) await deregister(client, claimOf(body, current), home.preference())
      current = undefined
    },
  }

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      const lease = await registerOnce()
      if (lease !== undefined && !(await keepAlive(lease))) current = undefined
    }
  }

  /** One attempt and, after a failure, the delay before the next. */
  async function registerOnce(): Promise<Lease | undefined> {
    const outcome = await register(client, body, { ...home.preference(), signal: stop.signal })
    if (outcome.kind === 'registered') {
      current = outcome
      trouble.over()
      home.registeredAt(outcome, body.worker_id)
      first.resolve(undefined)
      return outcome
    }
    await sleep(retryMs(options, outcome, trouble.met(outcome)))
    return undefined
  }

  /** Sends heartbeats until the controller no longer knows the lease (false) or the worker stops (true). */
  async function keepAlive(lease: Lease): Promise<boolean> {
    const nextMs = (): number => lease.intervalMs * (HEARTBEAT_AFTER.least + HEARTBEAT_AFTER.spread * random())
    let waitMs = nextMs()
    for (;;) {
      await sleep(waitMs)
      if (stop.signal.aborted) return true
      const beat = { ...claimOf(body, lease), load: options.load() }
      const outcome = await heartbeat(client, beat, { ...home.preference(), signal: stop.signal })
      waitMs = nextMs()
      if (outcome.kind === 'acknowledged') {
        trouble.over()
        home.acknowledged(outcome)
      } else if (outcome.kind === 'lost') {
        log.info({ event: 'worker_registration_lost' }, 'the controller no longer knows this worker; registering again')
        // Many workers lose their lease at the same moment, when a controller restarts.
        await sleep(random() * Math.min(lease.intervalMs / 10, MAX_REJOIN_JITTER_MS))
        return false
      } else waitMs = Math.min(waitMs, backoffMs(options, trouble.met(outcome)))
    }
  }

  async function sleep(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: stop.signal }).catch(() => undefined)
  }
}

function claimOf({ worker_id }: RegisterBody, { lease }: Lease): DeregisterBody {
  return { worker_id, lease }
}

function retryMs(options: RegistrationOptions, { kind }: Refusal, attempt: number): number {
  const isSlow = kind === 'denied' || kind === 'refused'
  return isSlow ? (options.deniedRetryMs ?? DENIED_RETRY_MS) : backoffMs(options, attempt)
}

function backoffMs({ firstRetryMs = FIRST_RETRY_MS, random }: RegistrationOptions, attempt: number): number {
  const full = Math.min(firstRetryMs * 2 ** (attempt - 1), MAX_RETRY_MS)
  return full * (0.5 + 0.5 * random())
}

// One line when an outage begins or changes, one when it ends: not one per attempt.
function createTroubleLog(log: Logger) {
  const reported = createReportedFault()
  let attempts = 0
  return {
    /** Returns the number of this attempt within the outage. */
    met({ kind, reason }: Refusal): number {
      attempts += 1
      if (reported.isNews(kind + reason)) log.warn({ event: EVENTS[kind], reason }, MESSAGES[kind])
      return attempts
    },
    over(): void {
      if (reported.end()) log.info({ event: 'controller_available', attempts }, 'the controller answers again')
      attempts = 0
    },
  }
}

const EVENTS = {
  denied: 'worker_registration_denied',
  refused: 'worker_registration_refused',
  unavailable: 'controller_unavailable',
} as const
const MESSAGES = {
  denied: 'the policy denies this registration; retrying slowly',
  refused: 'the controller refuses this registration; retrying slowly',
  unavailable: 'the controller is unreachable or unavailable; retrying',
} as const
