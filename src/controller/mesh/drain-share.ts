// Drains of a mesh: what an operator asks one controller for holds at all of them. The last word in the store counts; a word that
// could not be written is written when the store is back.
import { hash } from 'node:crypto'
import type { KV } from '@nats-io/kv'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { misfitOf } from '../../core/misfit.ts'
import type { RollChange } from '../routing/roll.ts'
import { within } from '../../platform/within.ts'
import type { StoreLink } from '../store/store-link.ts'
import { viewBucket } from './bucket-view.ts'

type DrainChange = Extract<RollChange, { kind: 'drained' | 'undrained' }>

type DrainShareOptions = {
  readonly link: Pick<StoreLink, 'join' | 'session'>
  readonly apply: (change: DrainChange) => void
  /** An entry cannot be used. */
  readonly onOdd: (key: string, revision: number, cause: unknown) => void
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

export function createDrainShare({ link, apply, onOdd }: DrainShareOptions): DrainShare {
  const unwritten = new Map<string, DrainChange>()

  async function write(bucket: KV, change: DrainChange): Promise<void> {
    const { id, kind } = change
    const value = JSON.stringify({ v: 1, id, draining: kind === 'drained' })
    await bucket.put(hash('sha256', id, 'base64url'), value, { timeout: WRITE_MS })
    if (unwritten.get(id) === change) unwritten.delete(id)
  }

  function heard(key: string, value: Uint8Array | undefined, revision: number): void {
    if (value === undefined) return
    try {
      const told = decode(value)
      // Ours is newer, and on its way.
      if (!unwritten.has(told.id)) apply(told)
    } catch (cause: unknown) {
      // Written by a newer version, or by hand.
      onOdd(key, revision, cause)
    }
  }

  link.join(async (session) => {
    for (const change of unwritten.values()) await write(session.drains, change)
    return viewBucket({ session, bucket: session.drains, onEntry: heard })
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

/** @throws {Error} that says why it is none */
function decode(value: Uint8Array): DrainChange {
  const told: unknown = JSON.parse(Buffer.from(value).toString())
  if (validator.Check(told)) return { kind: told.draining ? 'drained' : 'undrained', id: told.id }
  throw new Error(misfitOf(validator, told))
}
