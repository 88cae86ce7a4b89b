// Looks at the policy folder every 200 ms, and hands over a set that is whole and has been quiet for a moment. A set that
// cannot be used is tried again, since half-written files look the same, and called a fault when it has stood for a second.
import { setTimeout as delay } from 'node:timers/promises'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { BLOCK_WAIT_MS } from './block-follow.ts'
import { FolderChangedError, loadPolicyFolder, signatureOf, type PolicyFolder } from './policy-folder.ts'

/** The set on disk is not in force. `message` says why, `cause` is what was thrown; the last good one stays. */
export type PolicyFault = { readonly message: string; readonly sinceMs: number; readonly cause?: unknown }

type WatchOptions = {
  readonly dir: string
  /** The signature of the set that was loaded already. */
  readonly seen: string
  /** Brings a set into force. Rejects when that cannot be, and is called again with the same set later. */
  readonly adopt: (folder: PolicyFolder) => Promise<void>
  /** The folder is still, or again, what is in force. Called at every look. */
  readonly onConfirmed: () => void
  /** Once for each different fault. */
  readonly onFault: (fault: PolicyFault) => void
  /** After a fault was told: the set on disk is in force. */
  readonly onMended: () => void
  /** The set on disk has been unusable for `blockMs`; called again with every try of it. Never rejects. */
  readonly onStuck: () => Promise<void>
  readonly now: () => number
  readonly limits?: Partial<WatchLimits>
}

/** `settleMs`: how long files must be left alone before they are read. `faultMs`: how long a set may be unusable unsaid. */
export type WatchLimits = {
  readonly pollMs: number
  readonly settleMs: number
  readonly faultMs: number
  readonly retryMs: number
  readonly blockMs: number
}

export type PolicyWatch = {
  /** Looks now, a set that was refused included, and resolves when what was found has been dealt with. */
  readonly poll: () => Promise<void>
  /** The set on disk could not be used when it was last tried. */
  readonly isFaulty: () => boolean
  /** Why not; undefined when it could. */
  readonly cause: () => unknown
  readonly close: () => void
}

const LIMITS: WatchLimits = { pollMs: 200, settleMs: 40, faultMs: 1000, retryMs: 1000, blockMs: BLOCK_WAIT_MS }

export function watchPolicyFolder(options: WatchOptions): PolicyWatch {
  const { dir, adopt, onConfirmed, onStuck, now } = options
  const limits = { ...LIMITS, ...options.limits }
  const faults = createFaults(options, limits)
  let seen = options.seen
  // The set that was last looked into, good or not.
  let tried = options.seen
  let running: Promise<void> | undefined
  let closed = false

  // Asked for: there is a reason to think that the same set can be used now.
  const look = async (isAskedFor: boolean): Promise<void> => {
    try {
      const signature = await signatureOf(dir)
      if (signature === seen && !faults.pending()) {
        onConfirmed()
        return
      }
      if (signature === tried && !isAskedFor && !faults.isRetryDue()) return
      if (signature !== tried) await settle(signature)
      tried = signature
      const folder = await loadPolicyFolder(dir, now())
      if (folder.signature !== signature) throw new FolderChangedError(`${dir} was written to while it was read`)
      await adopt(folder)
      seen = folder.signature
      faults.clear()
      onConfirmed()
    } catch (cause: unknown) {
      if (closed) return
      faults.note(cause)
      if (faults.hasStood(limits.blockMs)) await onStuck()
    }
  }
  const settle = async (signature: string): Promise<void> => {
    await delay(limits.settleMs)
    if ((await signatureOf(dir)) !== signature) throw new FolderChangedError(`${dir} is being written to`)
  }
  const poll = (isAskedFor: boolean): Promise<void> => {
    running ??= look(isAskedFor).finally(() => {
      running = undefined
    })
    return running
  }

  let timer = setTimeout(tick, limits.pollMs).unref()
  function tick(): void {
    void poll(false).finally(() => {
      if (!closed) timer = setTimeout(tick, limits.pollMs).unref()
    })
  }
  return {
    async poll() {
      // One that is under way may have looked before what the caller knows of.
      await running
      await poll(true)
    },
    isFaulty: faults.pending,
    cause: faults.cause,
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

type Faults = {
  readonly pending: () => boolean
  readonly cause: () => unknown
  readonly hasStood: (ms: number) => boolean
  readonly isRetryDue: () => boolean
  readonly note: (cause: unknown) => void
  readonly clear: () => void
}

function createFaults({ onFault, onMended, now }: WatchOptions, limits: WatchLimits): Faults {
  let latest: unknown
  let first: { readonly at: number; readonly sinceMs: number } | undefined
  let last = 0
  const reported = createReportedFault()
  const hasStood = (ms: number): boolean => first !== undefined && performance.now() - first.at >= ms
  const stands = (): boolean => hasStood(limits.faultMs)
  return {
    pending: () => first !== undefined,
    cause: () => latest,
    hasStood,
    // Compiling costs: what has stood for a second is not tried at every look.
    isRetryDue: () => !stands() || reported.current() === undefined || performance.now() - last >= limits.retryMs,
    note(cause) {
      latest = cause
      last = performance.now()
      first ??= { at: last, sinceMs: now() }
      const message = cause instanceof Error ? cause.message : String(cause)
      if (stands() && reported.isNews(message)) onFault({ message, sinceMs: first.sinceMs, cause })
    },
    clear() {
      first = undefined
      latest = undefined
      if (reported.end()) onMended()
    },
  }
}
