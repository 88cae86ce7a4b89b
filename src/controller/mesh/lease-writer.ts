// Writes the entries that the shared store does not have yet: compare-and-set, so that no controller overwrites a newer word of
// another one that it has not seen.
import { setTimeout as delay } from 'node:timers/promises'
import type { KV } from '@nats-io/kv'
import { isWrongSequence } from '../store/buckets.ts'
import { encodeEntry, type LeaseEntry } from './lease-entry.ts'
import type { LeaseTable } from './lease-table.ts'

type LeaseWriterOptions = {
  readonly table: LeaseTable
  /** Undefined: the store is away. */
  readonly bucket: () => KV | undefined
  /** What the store has under a key, found by a refused write. */
  readonly onFound: (key: string, value: Uint8Array | undefined, revision: number) => void
  /** A write has failed, and is tried again. */
  readonly onFailed: (key: string, cause: unknown) => void
}

type LeaseWriter = {
  /** Something is due. */
  readonly wake: () => void
  /** Resolves when nothing is left to write under this key. */
  readonly written: (key: string) => Promise<void>
}

const AT_ONCE = 64
const WRITE_MS = 2000
const RETRY_MS = 200

export function createLeaseWriter({ table, bucket, onFound, onFailed }: LeaseWriterOptions): LeaseWriter {
  const waiting = new Map<string, (() => void)[]>()
  let isRunning = false

  async function run(): Promise<void> {
    if (isRunning) return
    isRunning = true
    try {
      for (;;) {
        const keys = table.due(AT_ONCE)
        const kv = bucket()
        if (keys.length === 0 || kv === undefined) break
        const results = await Promise.all(
          keys.map((key) => write(kv, key).catch((cause: unknown) => failed(key, cause))),
        )
        settle()
        if (results.includes(false)) await delay(RETRY_MS, undefined, { ref: false })
      }
    } finally {
      isRunning = false
      settle()
    }
  }

  function failed(key: string, cause: unknown): boolean {
    table.postpone(key)
    onFailed(key, cause)
    return false
  }

  /** False: try again later. */
  async function write(kv: KV, key: string): Promise<boolean> {
    const next = table.toWrite(key)
    if (next === undefined) return true
    const { entry, revision } = next
    try {
      table.wrote(key, entry, await put(kv, key, entry, revision))
      return true
    } catch (cause: unknown) {
      if (!isWrongSequence(cause)) throw cause
      const found = await kv.get(key)
      onFound(key, found?.operation === 'PUT' ? found.value : undefined, found?.revision ?? 0)
      return true
    }
  }

  function settle(): void {
    for (const [key, resolves] of waiting) {
      if (!table.isWritten(key)) continue
      waiting.delete(key)
      for (const resolve of resolves) resolve()
    }
  }

  return {
    wake: () => void run(),
    written: (key) =>
      table.isWritten(key)
        ? Promise.resolve()
        : new Promise((resolve) => waiting.set(key, [...(waiting.get(key) ?? []), resolve])),
  }
}

function put(kv: KV, key: string, entry: LeaseEntry, revision: number): Promise<number> {
  return kv.put(key, encodeEntry(entry), { previousSeq: revision, timeout: WRITE_MS })
}
