// The result of a replay, in one form for people, pull requests and programs.
import { compareKinds, effectOf, isFailure, titleOf, type Effect, type FailOn, type Kind } from './change.ts'
import type { Group, Tally } from './tally.ts'

export type Change = Kind & {
  readonly effect: Effect
  readonly decisions: number
  /** Most decisions first. */
  readonly groups: readonly Group[]
  /** Decisions in groups that were not kept because there were too many. */
  readonly unlistedDecisions: number
}

export type Report = {
  readonly audit: {
    readonly file: string
    readonly verified: boolean
    readonly from: string | null
    readonly until: string | null
    readonly first: string | null
    readonly last: string | null
    /** Number of decisions by the revision that made them. */
    readonly revisions: Readonly<Record<string, number>>
  }
  readonly policy: { readonly dir: string; readonly revision: string }
  /** Decisions that were repeated; all but `changed` gave the same result. */
  readonly decisions: number
  readonly evaluated: number
  readonly memoised: number
  /** Why every decision was evaluated; null when equal questions were evaluated once. */
  readonly memoOff: string | null
  /** Records that were not compared: no decision was made, or its input cannot be reconstructed. */
  readonly notCompared: { readonly trouble: number; readonly incomplete: number; readonly unreadable: number }
  readonly changed: number
  readonly otherReasons: number
  readonly changes: readonly Change[]
  readonly failed: boolean
  readonly elapsedMs: number
}

type ReportFacts = Pick<Report, 'policy' | 'memoOff' | 'elapsedMs'> & {
  readonly audit: Pick<Report['audit'], 'file' | 'verified' | 'from' | 'until'>
  readonly failOn: FailOn
}

export function createReport(tally: Tally, { audit, failOn, ...facts }: ReportFacts): Report {
  const { counts } = tally
  const changes = changesOf(tally)
  const sum = (some: readonly Change[]): number => some.reduce((total, { decisions }) => total + decisions, 0)
  const { trouble, incomplete, unreadable } = counts
  return {
    audit: {
      ...audit,
      first: tally.first ?? null,
      last: tally.last ?? null,
      revisions: Object.fromEntries(tally.revisions),
    },
    policy: facts.policy,
    decisions: counts.replayed,
    evaluated: counts.evaluated,
    memoised: counts.memoised,
    memoOff: facts.memoOff,
    notCompared: { trouble, incomplete, unreadable },
    changed: sum(changes.filter(({ effect }) => effect !== 'other_reasons')),
    otherReasons: sum(changes.filter(({ effect }) => effect === 'other_reasons')),
    changes,
    failed: changes.some((change) => isFailure(change, failOn)),
    elapsedMs: facts.elapsedMs,
  }
}

/** `DENY -> ALLOW: 12 decisions` */
export function headingOf(change: Change, arrow?: string): string {
  return `${titleOf(change, arrow)}: ${counted(change.decisions, 'decision')}`
}

/** `1,234 decisions` */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`
}

/** The part of a change after its first `shown` groups; undefined when everything is shown. */
export function andMore(change: Change, shown: number): string | undefined {
  const rest = change.groups.slice(shown)
  const decisions = rest.reduce((total, { count }) => total + count, 0) + change.unlistedDecisions
  if (decisions === 0) return undefined
  // The number of groups that were not kept is unknown.
  const groups =
    change.unlistedDecisions > 0 ? `at least ${rest.length + 1} more groups` : counted(rest.length, 'more group')
  return `and ${groups} (${counted(decisions, 'decision')})`
}

/** Sentences about records that were left out of the comparison. */
export function remarksOf({ notCompared }: Report): string[] {
  const { trouble, incomplete, unreadable } = notCompared
  return [
    ...(trouble > 0
      ? [`${counted(trouble, 'record')} without a decision (fault of the policy engine) not compared`]
      : []),
    ...(incomplete > 0 ? [`${counted(incomplete, 'decision')} not compared: the input cannot be reconstructed`] : []),
    ...(unreadable > 0
      ? [`${counted(unreadable, 'line')} of the log ${unreadable === 1 ? 'is' : 'are'} no whole record`]
      : []),
  ]
}

function changesOf({ groups, unlisted }: Tally): Change[] {
  const kinds = new Map<string, Kind & { groups: Group[] }>()
  const kindOf = ({ from, to }: Kind) => {
    const key = `${from} ${to}`
    const known = kinds.get(key) ?? { from, to, groups: [] }
    kinds.set(key, known)
    return known
  }
  for (const group of groups.values()) kindOf(group).groups.push(group)
  for (const kind of unlisted.values()) kindOf(kind)
  return [...kinds]
    .sort(([, one], [, other]) => compareKinds(one, other))
    .map(([key, kind]) => {
      const unlistedDecisions = unlisted.get(key)?.count ?? 0
      const listed = kind.groups.reduce((total, { count }) => total + count, 0)
      return {
        from: kind.from,
        to: kind.to,
        effect: effectOf(kind),
        decisions: listed + unlistedDecisions,
        groups: kind.groups.sort(compareGroups),
        unlistedDecisions,
      }
    })
}

// By count, then by name, so that two runs print the same in any order of threads.
function compareGroups(one: Group, other: Group): number {
  if (one.count !== other.count) return other.count - one.count
  const name = ({ requester, subject, before, after }: Group): string => [requester, subject, before, after].join('\0')
  return name(one) < name(other) ? -1 : 1
}
