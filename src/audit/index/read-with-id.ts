// Finds an id in a segment as it is: by its index as far as that goes, and by reading the rest. Nothing is written.
import { openRecord } from '../chain.ts'
import { lineAt } from '../lines.ts'
import type { AuditRecord } from '../reader.ts'
import { openSegment } from '../segment-bytes.ts'
import { openMade } from './open-segment.ts'
import { isOfSegment, linesWith } from './segment-lines.ts'

export type IdMember = 'decision_id' | 'trace_id'

type Place = {
  readonly file: string
  /** Undefined: no index is used. */
  readonly indexFile: string | undefined
  /** Of lines that are in no index. */
  readonly maxBytes: number
}

/** Undefined when there are more than `maxBytes` to read, or when the index is wrong. Rejects as `openSegment` does. */
export async function readWithId(
  { file, indexFile, maxBytes }: Place,
  member: IdMember,
  id: string,
): Promise<AuditRecord[] | undefined> {
  await using stack = new AsyncDisposableStack()
  const segment = await openSegment(file)
  stack.defer(() => segment.close())
  const index = indexFile === undefined ? undefined : await openMade(indexFile, (made) => isOfSegment(made, segment))
  stack.defer(() => index?.close())
  const { builtTo } = index?.progress ?? { builtTo: 0 }
  if ((await segment.size()) - builtTo > maxBytes) return undefined
  const lines: string[] = []
  for (const at of index?.withId(member, id) ?? []) {
    const line = await lineAt(segment, at)
    if (line === undefined || typeof openRecord(line) === 'string') return undefined
    lines.push(line)
  }
  for await (const line of linesWith(segment, builtTo, id)) lines.push(line)
  return lines.flatMap((text) => {
    const record = openRecord(text)
    return typeof record === 'object' && record[member] === id ? [{ line: 0, text, record }] : []
  })
}
