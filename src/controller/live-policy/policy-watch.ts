// Follows the policy folder, and adopts changed files when they have not
// been written to for a moment. Files that cannot be used are tried again, since
// incomplete files look the same; if that lasts for a second, it is reported as a fault.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { watchFiles, type LookoutPace } from '../../platform/file-lookout.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { BLOCK_WAIT_MS } from './block-follow.ts'
import { FolderChangedError, loadPolicyFolder, signatureOf, type PolicyFolder } from './policy-folder.ts'

/** The files on disk are not in force. `message` says why, `cause` is the error; the last good policy stays in force. */
export type PolicyFault = { readonly message: string; readonly sinceMs: number; readonly cause?: unknown }

type WatchOptions = {
  readonly dir: string
  /** The signature of the files that are loaded already. */
  readonly seen: string
  /** Reads the folder. Default: in this thread. */
  readonly load?: () => Promise<PolicyFolder>
  /** Brings files into force. Rejects when that fails, and is called again with the same files later. */
  readonly adopt: (folder: PolicyFolder) => Promise<void>
  /** Called at every check at which the folder matches what is in force. */
  readonly onConfirmed: () => void
  /** Called once for each different fault. */
  readonly onFault: (fault: PolicyFault) => void
  /** Called after a reported fault, when the files on disk are in force again. */
  readonly onMended: () => void
  /** Called when the files on disk have been unusable for `blockMs`, and again at each further attempt. Never rejects. */
  readonly onStuck: () => Promise<void>
  readonly now: () => number
  readonly limits?: Partial<WatchLimits>
}

/** `settleMs`: how long files must be unchanged before they are read. `faultMs`: when unusable files are reported as a fault. */
export type WatchLimits = LookoutPace & {
  readonly settleMs: number
  readonly faultMs: number
  readonly retryMs: number
  readonly blockMs: number
}

export type PolicyWatch = {
  /** Checks now, including files that were refused before, and resolves when the result has been handled. */
  readonly poll: () => Promise<void>
  /** Whether the files on disk could not be used at the last attempt. */
  readonly isFaulty: () => boolean
  /** Why not; undefined when they could. */
  readonly cause: () => unknown
  readonly close: () => void
}

const LIMITS: Omit<WatchLimits, keyof LookoutPace> = {
  settleMs: 40,
  faultMs: 1000,
  retryMs: 1000,
  blockMs: BLOCK_WAIT_MS,
}

export function watchPolicyFolder(options: WatchOptions): PolicyWatch {
  const { dir, adopt, onConfirmed, onStuck, now } = options
  const { load = () => loadPolicyFolder(dir, now()) } = options
  const limits = { ...LIMITS, ...options.limits }
  const faults = createFaults(options, limits)
  let seen = options.seen
  // The signature of the files that were last tried, usable or not.
  let tried = options.seen
  let running: Promise<void> | undefined
  let closed = false

  // `isAskedFor`: there is a reason to expect that the same files can be used now.
  const look = async (isAskedFor: boolean): Promise<void> => {
    try {
      const signature = await signatureOf(dir)
      if (signature === seen && !faults.pending()) {
        onConfirmed()
        return
      }
      if (signature === tried && !isAskedFor && !faults.isRetryDue()) return
      if (signature !== tried) await settle(dir, signature, limits.settleMs)
      tried = signature
      const folder = await load()
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
  const poll = (isAskedFor: boolean): Promise<void> => {
    running ??= look(isAskedFor).finally(() => {
      running = undefined
    })
    return running
  }

  const lookout = watchFiles({
    paths: [dir, join(dir, 'data')],
    async look() {
      await poll(false)
      return !faults.pending()
    },
    onSame: onConfirmed,
    pace: options.limits ?? {},
  })
  return {
    async poll() {
      // A check in progress may have read the files before the change that the caller knows of.
      await running
      await poll(true)
      if (faults.pending()) lookout.again()
    },
    isFaulty: faults.pending,
    cause: faults.cause,
    close() {
      closed = true
      lookout.close()
    },
  }
}

/** @throws {FolderChangedError} when the folder changes meanwhile */
async function settle(dir: string, signature: string, settleMs: number): Promise<void> {
  await delay(settleMs)
  if ((await signatureOf(dir)) !== signature) throw new FolderChangedError(`${dir} is being written to`)
}

type Faults = {
  readonly pending: () => boolean
  readonly cause: () => unknown
  readonly hasStood: (ms: number) => boolean
  readonly isRetryDue: () => boolean
  readonly note: (cause: unknown) => void
  readonly clear: () => void
}

function createFaults({ onFault, onMended, now }: WatchOptions, limits: typeof LIMITS): Faults {
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
    // Compiling is expensive: files that have been faulty for a second are not tried at every check.
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
