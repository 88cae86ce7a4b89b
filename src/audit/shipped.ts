// How far the records of a slot have been shipped: a file in the slot's folder for each target. Retention and readers ask it; the
// shipper replaces it.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Head } from './chain.ts'

/** Where records are shipped to: a collector of logs by OTLP, or the stream of the mesh in NATS. */
export type ShippedTo = 'otlp' | 'nats'

/**
 * The last record that a target has acknowledged. `position`: where its line begins in its segment. `hash`: by which the
 * line is recognised, since a restored backup may have another record of that number. `before`: the record before the first of
 * its segment, to which shipping returns when the segment has lost the last one; null before the first record of all.
 */
export type Shipped = Head & { readonly position: number; readonly before: Head | null }

const HASH = /^[0-9a-f]{64}$/
const FILES = { otlp: 'shipped', nats: 'shipped-nats' } as const satisfies Record<ShippedTo, string>

/** @param folder the folder of a slot */
export function shippedFile(folder: string, to: ShippedTo): string {
  return join(folder, FILES[to])
}

/** Undefined: nothing of this slot was shipped, or the file is damaged; then everything that there is has to be shipped. */
export async function readShipped(folder: string, to: ShippedTo): Promise<Shipped | undefined> {
  const text = await readFile(shippedFile(folder, to), 'utf8').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw cause
  })
  return parseShipped(text)
}

export function shippedText({ seq, hash, position, before }: Shipped): string {
  return `${JSON.stringify({ seq, hash, position, before })}\n`
}

function parseShipped(text: string): Shipped | undefined {
  try {
    const { position, before, ...head } = JSON.parse(text) as Partial<Record<keyof Shipped, unknown>>
    const isWhole = isHead(head) && isCount(position) && (before === null || isHead(before))
    return isWhole ? { ...head, position, before } : undefined
  } catch {
    return undefined
  }
}

function isHead(value: unknown): value is Head {
  if (typeof value !== 'object' || value === null) return false
  const { seq, hash } = value as Partial<Record<keyof Head, unknown>>
  return isCount(seq) && typeof hash === 'string' && HASH.test(hash)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
