// A candidate policy beside the active one: it gets the questions of live traffic, in its own thread, after the decision and
// in batches. Nothing waits for it: questions that it has no time for are dropped and counted, and it decides nothing.
import type { Decision, PolicyInput } from '../../core/decision.ts'
import type { TraceContext } from '../../core/trace-context.ts'
import { childEnvironment } from '../../platform/env.ts'
import { ThreadFailure } from '../../platform/thread/failure.ts'
import { startThread, threadEntry, type Thread } from '../../platform/thread/thread.ts'
import type { CandidateAnswer, CandidateBatch, CandidateNews, CandidateTask } from './candidate-words.ts'
import type { PolicyLog } from '../live-policy/guard.ts'

/** A question that the active policy has answered. `decision` undefined: it could not, and the candidate is not asked. */
type Decided = {
  readonly input: PolicyInput
  readonly decision: Decision | undefined
  /** The trace of the request. */
  readonly trace?: TraceContext
}

/** How often each pair of decisions occurred: `agreement.allow.deny`: the active policy allowed, the candidate denied. */
type Agreement = Record<'allow' | 'deny', Record<'allow' | 'deny', number>>

type CandidateStatus = {
  readonly state: 'starting' | 'ready' | 'failed'
  /** Why it failed; also set while an older revision is in use because the newest cannot be used. */
  readonly reason: string | null
  readonly revision: string | null
  readonly agreement: Agreement
  /** Questions that were not compared: the candidate was behind or down, or gave no decision. */
  readonly dropped: number
  readonly undecided: number
}

export type Candidate = {
  /** Queues a question for the candidate. Never throws, never waits. */
  readonly offer: (decided: Decided) => void
  readonly status: () => CandidateStatus
  readonly close: () => Promise<void>
}

export type Comparison = {
  readonly input: PolicyInput
  readonly trace: TraceContext | undefined
  readonly active: Decision
  readonly candidate: Extract<CandidateAnswer, { decision: 'allow' | 'deny' }>
}

type CandidateOptions = CandidateTask & {
  readonly log: PolicyLog
  readonly onCompared: (comparison: Comparison) => void
  readonly onSkipped: (reason: 'dropped' | 'undecided', count: number) => void
  readonly onRevision: (revision: string) => void
  readonly limits?: Partial<CandidateLimits>
}

/** `gatherMs`: how long questions wait to form a batch. `answerMs`: after this time the thread counts as hanging and is ended. */
export type CandidateLimits = {
  readonly queued: number
  readonly batch: number
  readonly gatherMs: number
  readonly answerMs: number
  readonly restartMs: number
}

const LIMITS: CandidateLimits = { queued: 1024, batch: 256, gatherMs: 20, answerMs: 5000, restartMs: 60_000 }
const HEAP_MIB = 128
// The variables with which compile.ts finds OPA.
const isForOpa = (name: string): boolean => name === 'OPA_BIN' || name === 'CRANK_CACHE_DIR'
const ENTRY = threadEntry('candidate-main', import.meta.url)

type CandidateThread = Thread<CandidateBatch, readonly CandidateAnswer[]>

type Waiting = { readonly input: PolicyInput; readonly decision: Decision; readonly trace: TraceContext | undefined }

/** Starts the candidate's thread. A folder that cannot be used is reported only in `status()` and in the log. */
export function createCandidate(options: CandidateOptions): Candidate {
  return new Comparer(options)
}

class Comparer implements Candidate {
  readonly #options: CandidateOptions
  readonly #limits: CandidateLimits
  readonly #agreement: Agreement = { allow: { allow: 0, deny: 0 }, deny: { allow: 0, deny: 0 } }
  #thread: CandidateThread | undefined
  #state: CandidateStatus['state'] = 'starting'
  #reason: string | null = null
  #revision: string | null = null
  #queue: Waiting[] = []
  #asked: Waiting[] = []
  #dropped = 0
  #undecided = 0
  #gatherTimer: NodeJS.Timeout | undefined
  #restartTimer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: CandidateOptions) {
    this.#options = options
    this.#limits = { ...LIMITS, ...options.limits }
    this.#start()
  }

  readonly offer = ({ input, decision, trace }: Decided): void => {
    if (decision === undefined || this.#closed) return
    if (this.#thread === undefined || this.#queue.length >= this.#limits.queued) this.#drop(1)
    else {
      this.#queue.push({ input, decision, trace })
      this.#gather()
    }
  }

  readonly status = (): CandidateStatus => ({
    state: this.#state,
    reason: this.#reason,
    revision: this.#revision,
    agreement: structuredClone(this.#agreement),
    dropped: this.#dropped,
    undecided: this.#undecided,
  })

  readonly close = async (): Promise<void> => {
    this.#closed = true
    clearTimeout(this.#restartTimer)
    await this.#end()
  }

  #start(): void {
    const { policyDir, env } = this.#options
    const thread: CandidateThread = startThread<CandidateBatch, readonly CandidateAnswer[], CandidateNews>({
      entry: ENTRY,
      name: 'candidate-policy',
      // The thread's own environment; what finds OPA is in `data`.
      env: childEnvironment(env),
      data: { policyDir, env: childEnvironment(env, isForOpa) } satisfies CandidateTask,
      maxHeapMib: HEAP_MIB,
      onNews: (news) => this.#hear(news),
      onFailure: (failure) => this.#fail(thread, wordsOf(failure, this.#limits)),
    })
    this.#thread = thread
  }

  #hear(news: CandidateNews): void {
    switch (news.kind) {
      case 'ready':
        this.#state = 'ready'
        this.#reason = null
        this.#revision = news.revision
        this.#options.onRevision(news.revision)
        this.#options.log.info({ event: 'candidate_ready', revision: news.revision }, 'candidate policy is loaded')
        this.#gather()
        return
      case 'failed':
        this.#report(news.reason)
        return
    }
  }

  #gather(): void {
    if (this.#revision === null || this.#gatherTimer !== undefined || this.#asked.length > 0) return
    if (this.#queue.length === 0) return
    this.#gatherTimer = setTimeout(() => this.#ask(), this.#limits.gatherMs).unref()
  }

  #ask(): void {
    this.#gatherTimer = undefined
    this.#asked = this.#queue.splice(0, this.#limits.batch)
    const inputs = this.#asked.map(({ input }) => input)
    void this.#thread?.ask({ inputs }, { limits: { wallMs: this.#limits.answerMs } }).then(
      (answers) => this.#take(answers),
      // `onFailure` reports the end of the thread, and drops the questions.
      (failure: unknown) => {
        if (failure instanceof ThreadFailure && failure.reason === 'fault') this.#take([])
      },
    )
  }

  #take(answers: readonly CandidateAnswer[]): void {
    const asked = this.#asked
    this.#asked = []
    for (const [at, waiting] of asked.entries()) this.#compare(waiting, answers[at])
    this.#gather()
  }

  #compare({ input, decision: active, trace }: Waiting, candidate: CandidateAnswer | undefined): void {
    if (candidate === undefined || candidate.decision === 'error') {
      this.#undecided += 1
      this.#options.onSkipped('undecided', 1)
      return
    }
    this.#agreement[active.decision][candidate.decision] += 1
    this.#options.onCompared({ input, trace, active, candidate })
  }

  /** Ends the failed thread, and tries another one later. */
  #fail(thread: CandidateThread, reason: string): void {
    if (thread !== this.#thread || this.#closed) return
    this.#revision = null
    this.#report(reason)
    void this.#end()
    this.#restartTimer = setTimeout(() => this.#start(), this.#limits.restartMs).unref()
  }

  #report(reason: string): void {
    this.#reason = reason
    if (this.#revision === null) this.#state = 'failed'
    this.#options.log.error(
      { event: 'candidate_failed', reason },
      'candidate policy cannot be used; calls are not affected',
    )
  }

  async #end(): Promise<void> {
    const thread = this.#thread
    this.#thread = undefined
    clearTimeout(this.#gatherTimer)
    this.#gatherTimer = undefined
    const lost = this.#queue.length + this.#asked.length
    this.#queue = []
    this.#asked = []
    if (lost > 0) this.#drop(lost)
    await thread?.end()
  }

  #drop(count: number): void {
    this.#dropped += count
    this.#options.onSkipped('dropped', count)
  }
}

function wordsOf({ reason, message, cause }: ThreadFailure, { answerMs }: CandidateLimits): string {
  switch (reason) {
    case 'wall_limit':
      return `no answer within ${answerMs} ms`
    case 'exited':
      return 'its thread ended'
    default:
      return `its thread failed: ${cause instanceof Error ? cause.message : message}`
  }
}
