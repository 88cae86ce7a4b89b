// `crank policy unused`: capabilities that are declared but unused, and those that are used but undeclared.
import { isoTime } from '../core/iso-time.ts'
import { passes, RULING_NAMES } from '../core/ruling.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { parseSince } from './option-values.ts'
import { say, writeJson, writeTable, type Column, type Format } from './output.ts'
import { manifestsIn, type Manifest } from '../policy/data/manifests.ts'
import { readEvidence, type EvidenceOptions } from './shadow/sources.ts'
import type { PairTally, Tally } from './shadow/tally.ts'

type UnusedOptions = EvidenceOptions & { since: string; output: Format }

/** `days`: since the last use, else since the deployment or the start of the log, whichever is later. */
type Unused = {
  readonly spiffe_id: string
  readonly capability: string
  /** The worker provides it itself: manifests list that too, and workers hardly ever call themselves. */
  readonly own: boolean
  readonly last_used: string | null
  readonly days: number
  /** Observed for at least the requested period. */
  readonly certain: boolean
}
type Undeclared = {
  readonly spiffe_id: string
  readonly capability: string
  readonly would_denials: number
  readonly by_exception: number
  readonly last_used: string
}

const DAY_MS = 86_400_000
const UNUSED: readonly Column<Unused>[] = [
  { title: 'DECLARED, NOT USED', cell: ({ capability }) => capability },
  { title: 'DAYS', cell: ({ days, certain }) => `${days.toFixed(1)}${certain ? '' : ' (too few to decide)'}` },
  { title: 'LAST USED', cell: ({ last_used }) => last_used ?? 'never' },
  { title: 'OWN', cell: ({ own }) => (own ? 'yes' : '') },
  { title: 'BY', cell: ({ spiffe_id }) => spiffe_id },
]
const UNDECLARED: readonly Column<Undeclared>[] = [
  { title: 'USED, NOT DECLARED', cell: ({ capability }) => capability },
  { title: 'WOULD DENY', cell: ({ would_denials }) => String(would_denials) },
  { title: 'BY EXCEPTION', cell: ({ by_exception }) => String(by_exception) },
  { title: 'LAST USED', cell: ({ last_used }) => last_used },
  { title: 'BY', cell: ({ spiffe_id }) => spiffe_id },
]

/** Prints both lists; `negative` if there is a capability to remove or to add. */
export async function listUnused(options: UnusedOptions): Promise<ExitCode> {
  const nowMs = Date.now()
  const sinceMs = parseSince(options.since, nowMs)
  // The whole log: a last use before the requested period is useful information.
  const { tally, policy, file, policyDir } = await readEvidence(options, Number.NEGATIVE_INFINITY, Date.now)
  const manifests = manifestsIn(policy.files)
  const unused = unusedOf(manifests, tally, { nowMs, sinceMs })
  const undeclared = undeclaredOf(manifests, tally, sinceMs)
  if (options.output === 'json') {
    writeJson({ audit_file: file, policy_dir: policyDir, since: isoTime(sinceMs), unused, undeclared })
  } else {
    say(`${tally.calls} calls in ${file}${tally.firstAt === undefined ? '' : ` since ${tally.firstAt}`}`)
    if (unused.length > 0) writeTable(UNUSED, unused)
    if (undeclared.length > 0) writeTable(UNDECLARED, undeclared)
    if (unused.length + undeclared.length === 0) say('every declared capability is used, and no undeclared one')
  }
  const isDue = undeclared.length > 0 || unused.some(({ own, certain }) => !own && certain)
  return isDue ? EXIT.negative : EXIT.ok
}

function unusedOf(
  manifests: readonly Manifest[],
  tally: Tally,
  { nowMs, sinceMs }: { nowMs: number; sinceMs: number },
): Unused[] {
  const logFromMs = tally.firstAt === undefined ? nowMs : Date.parse(tally.firstAt)
  const entries = manifests.flatMap((manifest) => manifest.required.map((capability) => ({ manifest, capability })))
  const found = entries.flatMap(({ manifest: { spiffeId, provided, deployedAt }, capability }): Unused[] => {
    const passedAt = tally.pairs.get(capability)?.get(spiffeId)?.lastPassedAt
    const lastUsed = passedAt === '' ? undefined : passedAt
    if (lastUsed !== undefined && Date.parse(lastUsed) >= sinceMs) return []
    const deployedMs = Date.parse(deployedAt ?? '')
    const watchedFromMs = Number.isNaN(deployedMs) ? logFromMs : Math.max(deployedMs, logFromMs)
    const fromMs = Math.min(nowMs, lastUsed === undefined ? watchedFromMs : Date.parse(lastUsed))
    return [
      {
        spiffe_id: spiffeId,
        capability,
        own: provided.includes(capability),
        last_used: lastUsed ?? null,
        days: Math.round(((nowMs - fromMs) / DAY_MS) * 10) / 10,
        certain: fromMs <= sinceMs,
      },
    ]
  })
  return found.sort((a, b) => Number(a.own) - Number(b.own) || b.days - a.days || compare(a, b))
}

function undeclaredOf(manifests: readonly Manifest[], { pairs }: Tally, sinceMs: number): Undeclared[] {
  const declared = new Set(manifests.flatMap(({ spiffeId, required }) => required.map((name) => `${spiffeId} ${name}`)))
  const found = [...pairs].flatMap(([capability, callers]) =>
    [...callers]
      .filter(([caller, pair]) => {
        return Date.parse(pair.lastPassedAt) >= sinceMs && !declared.has(`${caller} ${capability}`) && usesOf(pair) > 0
      })
      .map(([spiffe_id, pair]): Undeclared => ({
        spiffe_id,
        capability,
        would_denials: pair.decisions.would_deny,
        by_exception: total(pair.exceptions.values()),
        last_used: pair.lastPassedAt,
      })),
  )
  return found.sort((a, b) => b.would_denials - a.would_denials || compare(a, b))
}

/** Calls that passed; a refused call is not a use. */
function usesOf({ decisions }: PairTally): number {
  return total(RULING_NAMES.filter(passes).map((ruling) => decisions[ruling]))
}

function total(counts: Iterable<number>): number {
  return [...counts].reduce((sum, count) => sum + count, 0)
}

function compare(a: { capability: string; spiffe_id: string }, b: { capability: string; spiffe_id: string }): number {
  const [left, right] = [a, b].map(({ capability, spiffe_id }) => `${capability} ${spiffe_id}`)
  return (left ?? '') < (right ?? '') ? -1 : 1
}
