// Resolves names with `dns.lookup`, so that /etc/hosts applies. A lookup blocks a thread of the pool that file access needs
// too, for as long as the resolver waits, and cannot be cancelled: so at most two run at once, and names that are known to
// hang never occupy both.
import type { LookupAddress } from 'node:dns'
import { lookup as dnsLookup } from 'node:dns/promises'
import { LRUCache } from 'lru-cache'
import { AppError } from '../core/errors.ts'
import { untilAborted } from './within.ts'

export type Addresses = readonly LookupAddress[]

/**
 * The addresses of a name. `owner`: on whose behalf; an owner has one lookup at a time. `signal` ends the wait, not the lookup.
 * @throws the resolver's error, or {AppError} `overloaded` when no lookup can be started
 */
export type HostLookup = (host: string, owner: string, signal: AbortSignal) => Promise<Addresses>

export type HostLookupOptions = {
  readonly monotonic: () => number
  /** Left out: `dns.lookup`. */
  readonly lookup?: ((host: string) => Promise<Addresses>) | undefined
}

const AT_ONCE = 2
const CACHE_MS = 5000
const MAX_REMEMBERED = 1024
const MAX_WAITING = 256
/** A lookup that takes this long counts as hanging; its owner and its zone then count as slow for a while. */
const HANGS_AFTER_MS = 1000
const SLOW_FOR_MS = 60_000

type Answer = { readonly atMs: number; readonly addresses?: Addresses; readonly error?: Error }
type Job = {
  readonly host: string
  /** Its owner and its zone: jobs that share a key never run at the same time. */
  readonly keys: readonly string[]
  readonly settled: PromiseWithResolvers<Addresses>
  asking: number
  hangs: boolean
}

export function createHostLookup({ monotonic, lookup = lookupAll }: HostLookupOptions): HostLookup {
  const answers = new LRUCache<string, Answer>({ max: MAX_REMEMBERED })
  const slow = createSlowKeys(monotonic)
  const jobs = new Map<string, Job>()
  const running = new Set<Job>()
  const waiting = new Set<Job>()

  const mayStart = (job: Job): boolean => running.size < AT_ONCE && [...running].every((one) => slow.allows(job, one))

  function startNext(): void {
    for (const job of waiting) if (mayStart(job)) void run(job)
  }

  async function run(job: Job): Promise<void> {
    waiting.delete(job)
    running.add(job)
    const timer = setTimeout(onHanging, HANGS_AFTER_MS, job).unref()
    try {
      const addresses = await lookup(job.host)
      answers.set(job.host, { atMs: monotonic(), addresses })
      job.settled.resolve(addresses)
    } catch (error: unknown) {
      answers.set(job.host, { atMs: monotonic(), error: error as Error })
      job.settled.reject(error)
    }
    clearTimeout(timer)
    if (!job.hangs) slow.remove(job.keys)
    running.delete(job)
    jobs.delete(job.host)
    startNext()
  }

  /** Lookups of the same owner or zone will probably hang too: they are refused now instead of waiting in vain. */
  function onHanging(job: Job): void {
    job.hangs = true
    slow.add(job.keys)
    for (const other of waiting) if (sharesKey(other, job)) drop(other, new AppError('overloaded'))
  }

  function drop(job: Job, error: Error): void {
    waiting.delete(job)
    jobs.delete(job.host)
    job.settled.reject(error)
  }

  function addJob(job: Job): Job {
    const isHopeless = [...running].some((other) => other.hangs && sharesKey(other, job))
    if (waiting.size >= MAX_WAITING || isHopeless) throw new AppError('overloaded')
    jobs.set(job.host, job)
    waiting.add(job)
    startNext()
    return job
  }

  return async (host, owner, signal) => {
    const known = answers.get(host)
    if (known !== undefined && monotonic() - known.atMs < CACHE_MS) return fromAnswer(known)
    const job = jobs.get(host) ?? addJob(createJob(host, owner))
    job.asking += 1
    try {
      return await untilAborted(job.settled.promise, signal)
    } finally {
      job.asking -= 1
      if (job.asking === 0 && waiting.has(job)) drop(job, new Error('every caller has stopped waiting'))
    }
  }
}

function createJob(host: string, owner: string): Job {
  const keys = [`owner ${owner}`, `zone ${zoneOf(host)}`]
  const job: Job = { host, keys, settled: Promise.withResolvers<Addresses>(), asking: 0, hangs: false }
  job.settled.promise.catch(() => undefined) // every caller may have stopped waiting
  return job
}

/** The owners and zones of lookups that took too long, each remembered for a while. */
function createSlowKeys(monotonic: () => number) {
  const until = new LRUCache<string, number>({ max: MAX_REMEMBERED })
  /** The lookup itself hangs, or another one of its owner or zone did. */
  const isSlow = ({ hangs, keys }: Job): boolean =>
    hangs || keys.some((key) => (until.get(key) ?? -Infinity) > monotonic())
  return {
    /** Whether the two may run at once. */
    allows: (one: Job, other: Job): boolean => !sharesKey(one, other) && !(isSlow(one) && isSlow(other)),
    add(keys: readonly string[]): void {
      for (const key of keys) until.set(key, monotonic() + SLOW_FOR_MS)
    },
    remove(keys: readonly string[]): void {
      for (const key of keys) until.delete(key)
    },
  }
}

function lookupAll(host: string): Promise<Addresses> {
  return dnsLookup(host, { all: true })
}

/** The part of a name that its neighbours share: everything after the first dot. */
function zoneOf(host: string): string {
  const [, ...rest] = host.split('.')
  return rest.length === 0 ? host : rest.join('.')
}

function sharesKey(one: Job, other: Job): boolean {
  return one.keys.some((key) => other.keys.includes(key))
}

function fromAnswer({ addresses, error }: Answer): Addresses {
  if (addresses === undefined) throw error ?? new Error('no address')
  return addresses
}
