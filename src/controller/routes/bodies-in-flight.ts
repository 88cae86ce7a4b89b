// On the path of every call. Limits how much one identity may send before it is authorised: a maximum of JSON bodies, and of
// their bytes, at a time. Bodies of honest callers overlap only for moments, so a body over the limit waits a second for its
// turn, unread, before it is refused. The raw form of /route is not limited here: it streams and holds nothing in memory.
import { AppError } from '../../core/errors.ts'

export const MAX_BODIES = 4
export const MAX_BODY_BYTES = 4 * 1024 * 1024
const WAIT_MS = 1000
/** How many bodies of one identity may wait for their turn; they use no memory except that of their connections. */
const MAX_WAITING = 256

/** A body that is being read. Dispose of it when it is parsed or given up. */
export type BodyInFlight = Disposable & {
  /** Adds bytes of a body that did not declare its length. @throws {AppError} `overloaded` when there is no room */
  readonly grow: (bytes: number) => void
}

export type BodiesInFlight = {
  /** Admits a body of `bytes`, 0 if its length is unknown. Rejects with `overloaded` when there is no room in time. */
  readonly enter: (owner: string, bytes: number) => Promise<BodyInFlight>
}

type Waiting = { readonly bytes: number; readonly admit: () => void }
type Owner = { bodies: number; bytes: number; readonly waiting: Set<Waiting> }

/** `maxBytes`: per identity at a time; at least the size of the largest body. */
export function createBodiesInFlight({
  maxBytes = MAX_BODY_BYTES,
  waitMs = WAIT_MS,
}: { readonly maxBytes?: number; readonly waitMs?: number } = {}): BodiesInFlight {
  const owners = new Map<string, Owner>()
  const limits = `${MAX_BODIES} bodies and ${maxBytes} bytes at a time`
  // Created only when it is thrown: the stack trace of an error is expensive.
  const tooMany = (): AppError =>
    new AppError('overloaded', `too many bodies in flight for one identity (limit: ${limits}); wait and try again`)

  function enter(name: string, bytes: number): Promise<BodyInFlight> {
    const owner = owners.get(name) ?? { bodies: 0, bytes: 0, waiting: new Set() }
    owners.set(name, owner)
    // Bodies that already wait come first.
    if (owner.waiting.size === 0 && fits(owner, bytes, maxBytes)) return Promise.resolve(take(name, owner, bytes))
    if (owner.waiting.size >= MAX_WAITING) return Promise.reject(tooMany())
    return new Promise((resolve, reject) => {
      const waiting = { bytes, admit }
      const timer = setTimeout(giveUp, waitMs)
      owner.waiting.add(waiting)

      function admit(): void {
        clearTimeout(timer)
        owner.waiting.delete(waiting)
        resolve(take(name, owner, bytes))
      }
      function giveUp(): void {
        owner.waiting.delete(waiting)
        reject(tooMany())
        admitNext(name, owner)
      }
    })
  }

  function take(name: string, owner: Owner, declared: number): BodyInFlight {
    let held = declared
    let isOver = false
    owner.bodies += 1
    owner.bytes += held
    return {
      grow(bytes) {
        if (owner.bytes + bytes > maxBytes) throw tooMany()
        held += bytes
        owner.bytes += bytes
      },
      [Symbol.dispose]() {
        if (isOver) return
        isOver = true
        owner.bodies -= 1
        owner.bytes -= held
        admitNext(name, owner)
      },
    }
  }

  function admitNext(name: string, owner: Owner): void {
    for (const { bytes, admit } of owner.waiting) {
      if (!fits(owner, bytes, maxBytes)) return
      admit()
    }
    if (owner.bodies === 0) owners.delete(name)
  }
  return { enter }
}

function fits(owner: Owner, bytes: number, maxBytes: number): boolean {
  return owner.bodies < MAX_BODIES && owner.bytes + bytes <= maxBytes
}
