// Notices that files change. The system tells of changes (fs.watch), but not of all: those below a bind mount are missed, and
// those behind a link that was swapped. So a glance within each second compares what the system says about the files. It is synchronous
// on purpose: through the thread pool it would cost thirty times as much.
import { readdirSync, statSync, watch, type BigIntStats, type FSWatcher } from 'node:fs'
import { join } from 'node:path'

type FileLookout = {
  /** Looks again soon, whether the files have changed or not. */
  readonly again: () => void
  readonly close: () => void
}

type LookoutOptions = {
  /** Files, or folders for all files in them. What does not exist is looked for too. */
  readonly paths: readonly string[]
  /** Reads what has changed. False: the files are still being written, or cannot be used yet; then it is called again soon. */
  readonly look: () => Promise<boolean>
  /** The glance found no change. */
  readonly onSame?: () => void
  readonly pace?: Partial<LookoutPace>
}

/** `netMs`: between glances. `againMs`: between looks while files are being written. `events`: whether the system is asked to tell. */
export type LookoutPace = { readonly netMs: number; readonly againMs: number; readonly events: boolean }

/** Less than a second, with the time that is needed to read what has changed. */
const PACE: LookoutPace = { netMs: 750, againMs: 200, events: true }
/** The system fires a timer a little early. */
const EARLY_MS = 50
/** One change is several events. */
const EVENT_MS = 10

/** One of the paths. `stats`: undefined if there is nothing. */
type Root = { readonly path: string; readonly stats: BigIntStats | undefined }
type Watched = { readonly ino: bigint; readonly watcher: FSWatcher }

/** Looks for the first time after `againMs`. `look` must not reject. */
export function watchFiles({ paths, look, onSame, pace }: LookoutOptions): FileLookout {
  const { netMs, againMs, events } = { ...PACE, ...pace }
  const told = events ? createWatches(() => plan(EVENT_MS)) : undefined
  // What changed while the caller read the files is found by the first look.
  let seen = ''
  let isSettled = false
  let isLooking = false
  let isClosed = false
  let dueMs = 0
  let timer: NodeJS.Timeout | undefined

  const plan = (ms: number): void => {
    const due = performance.now() + ms
    if (isClosed || isLooking || (timer !== undefined && due >= dueMs)) return
    clearTimeout(timer)
    dueMs = due
    timer = setTimeout(() => void tick(), ms).unref()
  }
  const tick = async (): Promise<void> => {
    timer = undefined
    isLooking = true
    const roots = paths.map((path) => ({ path, stats: statOf(path) }))
    told?.follow(roots)
    const found = glance(roots)
    if (found === seen && isSettled) onSame?.()
    else {
      // What changes from here on is in the next glance.
      seen = found
      isSettled = await look()
    }
    isLooking = false
    plan(isSettled ? untilGlance(netMs) : againMs)
  }

  told?.follow(paths.map((path) => ({ path, stats: statOf(path) })))
  plan(againMs)
  return {
    again() {
      isSettled = false
      plan(againMs)
    },
    close() {
      isClosed = true
      clearTimeout(timer)
      told?.close()
    },
  }
}

/** All lookouts glance at the same moments, so that an idle process wakes once for them. */
function untilGlance(netMs: number): number {
  const ms = Math.ceil(netMs - (performance.now() % netMs))
  return ms < Math.min(EARLY_MS, netMs / 2) ? ms + netMs : ms
}

/** `follow`: a path may be another file or folder by now. */
function createWatches(onEvent: () => void) {
  const watched = new Map<string, Watched>()
  return {
    follow(roots: readonly Root[]) {
      for (const { path, stats } of roots) {
        const ino = stats?.ino
        const known = watched.get(path)
        if (known?.ino === ino) continue
        known?.watcher.close()
        watched.delete(path)
        const watcher = ino === undefined ? undefined : openWatch(path, onEvent)
        if (ino !== undefined && watcher !== undefined) watched.set(path, { ino, watcher })
      }
    },
    close() {
      for (const { watcher } of watched.values()) watcher.close()
      watched.clear()
    },
  }
}

/** An error, such as too many watches, leaves the glances. */
function openWatch(path: string, onEvent: () => void): FSWatcher | undefined {
  try {
    return watch(path, { persistent: false }, onEvent).on('error', () => undefined)
  } catch {
    return undefined
  }
}

/** What the system says about each file; follows links, since Kubernetes swaps a linked folder. */
function glance(roots: readonly Root[]): string {
  return roots.map(({ path, stats }) => (stats?.isDirectory() === true ? glanceInto(path) : markOf(stats))).join('\n')
}

function glanceInto(folder: string): string {
  try {
    return readdirSync(folder)
      .map((name) => `${name} ${markOf(statOf(join(folder, name)))}`)
      .join('\n')
  } catch (cause: unknown) {
    return String((cause as NodeJS.ErrnoException).code)
  }
}

function markOf(found: BigIntStats | undefined): string {
  return found === undefined ? 'none' : markOfStats(found)
}

/** Changes when a file is written, replaced or given other rights. */
export function markOfStats({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs, ctimeNs].join(' ')
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
