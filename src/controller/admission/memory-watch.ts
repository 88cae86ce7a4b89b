// Whether the process has memory for another body. The limits are those that V8 and the system report for this process, never
// a fixed number: the heap limit of V8, and the memory limit of the container or else of the machine.
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

type MemoryReading = {
  readonly heapUsed: number
  readonly heapLimit: number
  readonly resident: number
  readonly residentLimit: number
}

/** `tight`: no large bodies. `short`: no calls. */
type MemoryState = 'enough' | 'tight' | 'short'

type MemoryWatch = {
  readonly state: () => MemoryState
  /** The used part of the limit that is nearer, from 0 to 1. */
  readonly used: () => number
}

/** V8 frees memory late, but long before its limit: what is still used at these parts is needed. */
const TIGHT = 0.85
const SHORT = 0.95
/** A state ends only below its threshold by this much, so that it does not change with every body. */
const SLACK = 0.03
/** A reading costs about 20 microseconds. */
const LOOK_MS = 200

export function createMemoryWatch({ read }: { readonly read: () => MemoryReading }): MemoryWatch {
  let used = usedPart(read())
  let state = stateAt(used, 'enough')
  let readMs = performance.now()
  // Read when somebody asks: a timer would wake an idle process.
  const look = (): void => {
    const nowMs = performance.now()
    if (nowMs - readMs < LOOK_MS) return
    readMs = nowMs
    try {
      used = usedPart(read())
    } catch {
      // The resident size is read from a file of the system: without a free file handle the last reading counts.
    }
    state = stateAt(used, state)
  }
  return {
    state() {
      look()
      return state
    },
    used() {
      look()
      return used
    },
  }
}

/** What the process uses, and what it may use. `of`: so many processes share the machine or container. */
export function readMemory(of: number): MemoryReading {
  const { used_heap_size: heapUsed, heap_size_limit: heapLimit } = getHeapStatistics()
  const constrained = process.constrainedMemory()
  // Without a container the system reports nothing, or a number above everything that exists.
  const residentLimit = (constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()) / of
  return { heapUsed, heapLimit, resident: process.memoryUsage.rss(), residentLimit }
}

function usedPart({ heapUsed, heapLimit, resident, residentLimit }: MemoryReading): number {
  return Math.max(heapUsed / heapLimit, resident / residentLimit)
}

function stateAt(used: number, before: MemoryState): MemoryState {
  const slack = (state: MemoryState): number => (before === state ? SLACK : 0)
  if (used >= SHORT - slack('short')) return 'short'
  return used >= TIGHT - (before === 'enough' ? 0 : SLACK) ? 'tight' : 'enough'
}
