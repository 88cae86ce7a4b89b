// On the path of every call. How much may be on its way in from one identity before anybody has looked at its rights: at
// most so many JSON bodies, and so many bytes of them, at a time. Bodies of honest callers overlap for moments only, so one
// too many waits a second for its turn, unread, before it is refused. The raw form of /route has no place here: it streams,
// and holds nothing.
import { AppError } from '../../core/errors.ts'

export const MAX_BODIES = 4
export const MAX_BODY_BYTES = 4 * 1024 * 1024
const WAIT_MS = 1000
/** Bodies of one identity that wait for their turn; they hold no memory but their connection's. */
const MAX_WAITING = 256

/** One body that is being read. To be disposed of when it is read and parsed, or will not be. */
export type BodyInFlight = Disposable & {
  /** The body, which had not said how long it is, has grown. @throws {AppError} `overloaded` when there is no room */
  readonly grow: (bytes: number) => void
}

export type BodiesInFlight = {
  /** Lets a body of `bytes` in, 0 if it does not say. Rejects with `overloaded` when there is no room for it in time. */
  readonly enter: (owner: string, bytes: number) => Promise<BodyInFlight>
}

type Waiting = { readonly bytes: number; readonly admit: () => void }
type Owner = { bodies: number; bytes: number; readonly waiting: Set<Waiting> }

/** `maxBytes`: of one identity at a time; as much as the largest body at least. */
export function createBodiesInFlight({
  maxBytes = MAX_BODY_BYTES,
  waitMs = WAIT_MS,
}: { readonly maxBytes?: number; readonly waitMs?: number } = {}): BodiesInFlight {
  const owners = new Map<string, Owner>()
  const limits = `${MAX_BODIES} bodies and ${maxBytes} bytes at a time`
  // Made only when it is thrown: an error costs its stack trace.
  const tooMany = (): AppError =>
    new AppError('overloaded', `more bodies are under way than one identity may send (${limits}); wait and repeat`)

  function enter(name: string, bytes: number): Promise<BodyInFlight> {
    const owner = owners.get(name) ?? { bodies: 0, bytes: 0, waiting: new Set() }
    owners.set(name, owner)
    // Whoever waits already is first.
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
