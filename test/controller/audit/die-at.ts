// Preloaded into a process and its threads: SIGKILL at one call of the file system, as its URL says: ?<function>:<when>:<n>. `n`
// counts the calls that concern a segment, `when` is before, after or half (of a write).
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { isMainThread } from 'node:worker_threads'

type Call = (...args: unknown[]) => unknown

const [name = '', when = '', nth = '1'] = new URL(import.meta.url).search.slice(1).split(':')
const calls = fs as unknown as Record<string, Call>
const real = calls[name]
let seen = 0

/** Of calls by name, those on segments; of others all: the processes of these tests write nothing else. */
function concerns(args: readonly unknown[]): boolean {
  const path = args.find((arg) => typeof arg === 'string')
  return path === undefined || /\d+\.jsonl/.test(path)
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

// The writer's calls are asynchronous, those of its thread are not.
if (real !== undefined && isMainThread !== name.endsWith('Sync')) {
  calls[name] = (...args) => {
    if (!concerns(args) || ++seen !== Number(nth)) return real(...args)
    if (when === 'half') {
      const [fd, bytes, from = 0, length = 0] = args as [number, Buffer, number?, number?]
      fs.writeSync(fd, bytes.subarray(from, from + Math.floor((length === 0 ? bytes.length : length) / 2)))
    }
    if (when !== 'after') die()
    const last = args.at(-1)
    if (typeof last !== 'function') {
      real(...args)
      die()
    }
    return real(...args.slice(0, -1), die)
  }
  syncBuiltinESMExports()
}
