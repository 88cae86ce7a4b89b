// Compares code and manifest: which entry belongs to which worker, the differences, and the updated manifest.
import { parseSpiffeId, SpiffeIdError, type TrustDomain } from '../../core/spiffe-id.ts'
import type { CodeWorker } from './code-worker.ts'
import { ManifestError, newEntry, withMembers, type Entry, type ManifestFile } from './entries.ts'

/** One worker of the code and its entry; `entry` is undefined when the manifest has none. */
export type Pair = { readonly worker: CodeWorker; readonly spiffeId: string; readonly entry: Entry | undefined }
export type Comparison = {
  readonly pairs: readonly Pair[]
  /** Entries whose worker_id no source defines: their code is elsewhere. */
  readonly codeElsewhere: readonly Entry[]
}

export type Difference = { readonly spiffeId: string; readonly workerId: string; readonly place: string } & (
  | { readonly kind: 'no_manifest' }
  | { readonly kind: 'worker_id'; readonly found: string }
  | { readonly kind: 'no_list'; readonly list: ListName }
  | { readonly kind: 'missing' | 'surplus'; readonly list: ListName; readonly capability: string }
)

export type ListName = 'required_capabilities' | 'provided_capabilities'
const LISTS = ['required_capabilities', 'provided_capabilities'] as const satisfies readonly ListName[]

/**
 * Finds the entry of each worker: every entry with its worker_id, else the one with its SPIFFE ID.
 * @throws {ManifestError} for a worker without an entry whose id gives no SPIFFE ID, or that of another worker
 */
export function compare(file: ManifestFile, workers: readonly CodeWorker[], trustDomain: TrustDomain): Comparison {
  const pairs = workers.flatMap((worker): Pair[] => {
    const own = file.entries.filter(({ value }) => value['worker_id'] === worker.id)
    if (own.length > 0) return own.map((entry) => ({ worker, spiffeId: entry.spiffeId, entry }))
    const spiffeId = spiffeIdOf(worker, trustDomain)
    const entry = file.entries.find((item) => item.spiffeId === spiffeId)
    const other = workers.find(({ id }) => entry?.value['worker_id'] === id)
    if (other === undefined) return [{ worker, spiffeId, entry }]
    throw new ManifestError(`${spiffeId} would be ${worker.id} (${worker.place}), but it is the entry of ${other.id}`)
  })
  const taken = new Set(pairs.map(({ spiffeId }) => spiffeId))
  return { pairs, codeElsewhere: file.entries.filter(({ spiffeId }) => !taken.has(spiffeId)) }
}

/** The differences of a pair; the order of a list does not matter. */
export function differencesOf({ worker, spiffeId, entry }: Pair): Difference[] {
  const about = { spiffeId, workerId: worker.id, place: worker.place }
  if (entry === undefined) return [{ ...about, kind: 'no_manifest' }]
  const found = entry.value['worker_id']
  const ids = found === worker.id ? [] : [{ ...about, kind: 'worker_id' as const, found: String(found) }]
  return [
    ...ids,
    ...LISTS.flatMap((list): Difference[] => {
      if (!Array.isArray(entry.value[list])) return [{ ...about, kind: 'no_list', list }]
      const [inCode, inManifest] = [listIn(worker, list), entry.value[list] as readonly unknown[]]
      const missing = inCode.filter((capability) => !inManifest.includes(capability))
      const surplus = inManifest.filter((capability) => !inCode.some((known) => known === capability))
      return [
        ...missing.map((capability) => ({ ...about, kind: 'missing' as const, list, capability })),
        ...surplus.map((capability) => ({ ...about, kind: 'surplus' as const, list, capability: String(capability) })),
      ]
    }),
  ]
}

/** The entries updated from the code; members that only people know (owner, deployed_at, …) are kept. */
export function update({ pairs, codeElsewhere }: Comparison, fresh: { owner: string; deployedAt: string }): Entry[] {
  const updated = pairs.map(({ worker, spiffeId, entry }) => {
    const members = {
      worker_id: worker.id,
      required_capabilities: worker.required,
      provided_capabilities: worker.provided,
    }
    if (entry !== undefined) return withMembers(entry, members)
    return newEntry(spiffeId, { ...members, owner: fresh.owner, deployed_at: fresh.deployedAt })
  })
  return [...updated, ...codeElsewhere]
}

/** The list as the code defines it. */
export function listIn(worker: CodeWorker, list: ListName): readonly string[] {
  return list === 'provided_capabilities' ? worker.provided : worker.required
}

/** One sentence. */
export function formatDifference(difference: Difference): string {
  const { spiffeId, workerId, place, kind } = difference
  switch (kind) {
    case 'no_manifest':
      return `${workerId}: has no manifest; ${place} defines it, its entry would be ${spiffeId}`
    case 'worker_id':
      return `${workerId}: the entry ${spiffeId} has worker_id "${difference.found}"; ${place} defines another`
    case 'no_list':
      return `${workerId}: the entry ${spiffeId} lacks the list ${difference.list}; see ${place}`
    case 'missing':
      return `${workerId}: ${difference.list} lacks ${difference.capability}; see ${place}`
    case 'surplus':
      return `${workerId}: ${difference.list} has ${difference.capability}, the code does not; see ${place}`
  }
}

// `worker-<name>` is spiffe://<trust domain>/worker/<name>.
function spiffeIdOf({ id, place }: CodeWorker, trustDomain: TrustDomain): string {
  const name = /^worker-(.+)$/.exec(id)?.[1]
  const reason = `${place}: no SPIFFE ID follows from the id "${id}": use worker-<name>, or write its entry by hand`
  if (name === undefined) throw new ManifestError(reason)
  try {
    return parseSpiffeId(`spiffe://${trustDomain}/worker/${name}`)
  } catch (cause: unknown) {
    if (cause instanceof SpiffeIdError) throw new ManifestError(reason, { cause })
    throw cause
  }
}
