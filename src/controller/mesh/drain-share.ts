// Drains of a mesh: what an operator asks one controller for holds at all of them. The last word in the store counts; a word that
// could not be written is written when the store is back.
import { hash } from 'node:crypto'
import type { KV } from '@nats-io/kv'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { RollChange } from '../routing/roll.ts'
import { within } from '../../platform/within.ts'
import type { StoreLink } from '../store/store-link.ts'

type DrainChange = Extract<RollChange, { kind: 'drained' | 'undrained' }>

type DrainShareOptions = {
  readonly link: Pick<StoreLink, 'join' | 'session'>
  readonly apply: (change: DrainChange) => void
}

type DrainShare = {
  /** Tells the other controllers. Resolves when the store has it, but after 250 ms at the latest. */
  readonly share: (change: DrainChange) => Promise<void>
  /** Writes what could not be written. Called by a timer. */
  readonly again: () => void
  /** How many words the store does not have. */
  readonly unwritten: () => number
}

const Stored = Type.Object({ v: Type.Literal(1), id: Type.String({ maxLength: 256 }), draining: Type.Boolean() })
const validator = Compile(Stored)
const SHARE_MS = 250
const WRITE_MS = 2000

export function createDrainShare({ link, apply }: DrainShareOptions): DrainShare {
  const unwritten = new Map<string, DrainChange>()

  async function write(bucket: KV, change: DrainChange): Promise<void> {
    const { id, kind } = change
    const value = JSON.stringify({ v: 1, id, draining: kind === 'drained' })
    await bucket.put(hash('sha256', id, 'base64url'), value, { timeout: WRITE_MS })
    if (unwritten.get(id) === change) unwritten.delete(id)
  }

  link.join(async ({ drains, signal }) => {
    for (const change of unwritten.values()) await write(drains, change)
    const watch = await drains.watch()
    if (signal.aborted) watch.stop()
    signal.throwIfAborted()
    signal.addEventListener('abort', () => watch.stop())
    const follow = async (): Promise<string> => {
      for await (const { operation, value } of watch) {
        const told = operation === 'PUT' ? parse(value) : undefined
        // Ours is newer, and on its way.
        if (told !== undefined && !unwritten.has(told.id)) apply(told)
      }
      return 'its view of the drains has ended'
    }
    return { ended: follow() }
  })

  /** A word that fails stays unwritten, for the next turn. */
  const tell = async (change: DrainChange): Promise<void> => {
    const session = link.session()
    if (session !== undefined) await write(session.drains, change).catch(() => undefined)
  }
  return {
    async share(change) {
      unwritten.set(change.id, change)
      await within(SHARE_MS, tell(change))
    },
    again() {
      for (const change of unwritten.values()) void tell(change)
    },
    unwritten: () => unwritten.size,
  }
}

function parse(value: Uint8Array): DrainChange | undefined {
  try {
    const told: unknown = JSON.parse(Buffer.from(value).toString())
    if (!validator.Check(told)) return undefined
    return { kind: told.draining ? 'drained' : 'undrained', id: told.id }
  } catch {
    // Written by a newer version, or by hand.
    return undefined
  }
}
