// Counts of a replay: per block in a thread, then merged. Memory is bounded for any length of the log: a fixed number
// of groups is kept per kind of change, the others are only counted.
import type { Kind } from './change.ts'
import type { Ruling } from '../../core/ruling.ts'
import type { Recorded } from './recorded.ts'

export type Redecided = { readonly ruling: Ruling; readonly why: string }

/** Decisions with the same caller, subject, old and new answer. `example`: the decision_id of the first. */
export type Group = Kind & {
  readonly requester: string
  readonly subject: string
  readonly before: string
  readonly after: string
  count: number
  first: string
  last: string
  example: string
}

type Counts = {
  /** Repeated decisions. */
  replayed: number
  /** How many of them were evaluated by the policy, and reused from an equal question. */
  evaluated: number
  memoised: number
  /** Not compared: no decision was made; its input cannot be reconstructed. */
  trouble: number
  incomplete: number
  outside: number
  other: number
  unreadable: number
}

export type Tally = {
  readonly counts: Counts
  /** Earliest and latest recorded time of the replayed records. */
  first: string | undefined
  last: string | undefined
  readonly revisions: Map<string, number>
  readonly groups: Map<string, Group>
  /** Decisions in groups that are not kept, by kind. */
  readonly unlisted: Map<string, Kind & { count: number }>
}

type TallyLimits = { readonly groupsPerKind: number; readonly revisions: number }

const LIMITS: TallyLimits = { groupsPerKind: 1000, revisions: 100 }

export function createTally(): Tally {
  const counts = {
    replayed: 0,
    evaluated: 0,
    memoised: 0,
    trouble: 0,
    incomplete: 0,
    outside: 0,
    other: 0,
    unreadable: 0,
  }
  return { counts, first: undefined, last: undefined, revisions: new Map(), groups: new Map(), unlisted: new Map() }
}

/** Counts one repeated decision, and groups it if it differs. */
export function addDecision(tally: Tally, recorded: Recorded, now: Redecided): void {
  const { context, identity } = recorded.input
  tally.counts.replayed += 1
  spread(tally, context.timestamp, context.timestamp)
  countRevision(tally, recorded.revision, 1, LIMITS)
  if (now.ruling === recorded.was && now.why === recorded.why) return
  addGroup(
    tally,
    {
      from: recorded.was,
      to: now.ruling,
      requester: identity.spiffe_id,
      subject: recorded.subject,
      before: recorded.why,
      after: now.why,
      count: 1,
      first: context.timestamp,
      last: context.timestamp,
      example: context.decision_id,
    },
    LIMITS,
  )
}

/** Adds a block's tally to the whole. */
export function mergeTally(whole: Tally, part: Tally, limits: TallyLimits = LIMITS): void {
  for (const name of Object.keys(part.counts) as (keyof Counts)[]) whole.counts[name] += part.counts[name]
  if (part.first !== undefined && part.last !== undefined) spread(whole, part.first, part.last)
  for (const [revision, count] of part.revisions) countRevision(whole, revision, count, limits)
  for (const group of part.groups.values()) addGroup(whole, group, limits)
  for (const kind of part.unlisted.values()) countUnlisted(whole, kind, kind.count)
}

/** Stands for revisions that are no longer counted separately. */
export const OTHER_REVISIONS = 'others'

function addGroup(tally: Tally, group: Group, limits: TallyLimits): void {
  const { requester, subject, from, to, before, after } = group
  const key = [from, to, requester, subject, before, after].join('\0')
  const known = tally.groups.get(key)
  if (known === undefined) {
    if (isFull(tally, group, limits)) countUnlisted(tally, group, group.count)
    else tally.groups.set(key, { ...group })
    return
  }
  known.count += group.count
  if (group.first < known.first) {
    known.first = group.first
    known.example = group.example
  }
  if (group.last > known.last) known.last = group.last
}

function isFull({ groups }: Tally, kind: Kind, { groupsPerKind }: TallyLimits): boolean {
  if (groups.size < groupsPerKind) return false
  let count = 0
  for (const group of groups.values()) if (group.from === kind.from && group.to === kind.to) count += 1
  return count >= groupsPerKind
}

function countUnlisted({ unlisted }: Tally, { from, to }: Kind, count: number): void {
  const key = `${from} ${to}`
  const known = unlisted.get(key)
  if (known === undefined) unlisted.set(key, { from, to, count })
  else known.count += count
}

function countRevision({ revisions }: Tally, revision: string, count: number, limits: TallyLimits): void {
  const key = revisions.has(revision) || revisions.size < limits.revisions ? revision : OTHER_REVISIONS
  revisions.set(key, (revisions.get(key) ?? 0) + count)
}

function spread(tally: Tally, first: string, last: string): void {
  if (tally.first === undefined || first < tally.first) tally.first = first
  if (tally.last === undefined || last > tally.last) tally.last = last
}
