// Puts together the answer to a request that was answered before: a large one has further parts in the shared store.
import type { KV } from '@nats-io/kv'
import type { Claim } from './key-store.ts'
import { partKey, type SharedEntry } from './shared-entry.ts'

/** Undefined: a part of it is missing. */
export async function wholeAnswer(
  bucket: KV,
  claim: Claim,
  { answer, parts = 0, decisionId }: SharedEntry,
): Promise<SharedEntry['answer']> {
  if (answer?.kind !== 'answer' || parts === 0) return answer
  const further = await Promise.all(
    Array.from({ length: parts }, (_, at) => bucket.get(partKey({ ...claim, decisionId }, at))),
  )
  const bodies = further.map((part) => (part?.operation === 'PUT' ? part.value : undefined))
  if (bodies.includes(undefined)) return undefined
  return { ...answer, body: Buffer.concat([answer.body, ...(bodies as Uint8Array[])]) }
}
