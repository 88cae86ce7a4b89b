// `crank shadow report`: the results of shadow mode per capability, and whether it can be enforced.
import { isoTime } from '../../core/iso-time.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { EXIT, type ExitCode } from '../exit.ts'
import { parseCount, parseSince } from '../option-values.ts'
import { paint, say, writeJson, writeLine, type Colour, writeTable, type Column, type Format } from '../output.ts'
import { reportOn, type CapabilityReport } from './capability-report.ts'
import { manifestsIn } from '../../policy/data/manifests.ts'
import { readEvidence, type Evidence, type EvidenceOptions } from './sources.ts'
import type { Readiness } from './verdict.ts'

type ReportOptions = EvidenceOptions & { since: string; minCalls: string; minDays: string; output: Format }

const COLOURS: Readonly<Record<Readiness, Colour>> = {
  ready: 'green',
  'not ready': 'red',
  'not enough data': 'yellow',
  enforced: 'dim',
}
const COLUMNS: readonly Column<CapabilityReport>[] = [
  { title: 'CAPABILITY', cell: ({ capability }) => capability },
  { title: 'MODE', cell: ({ mode }) => mode },
  { title: 'CALLS', cell: ({ calls }) => String(calls) },
  { title: 'DAYS', cell: ({ days }) => String(days) },
  { title: 'CALLERS', cell: ({ callers }) => String(callers.length) },
  { title: 'NEVER SEEN', cell: ({ callers_never_seen: unseen }) => String(unseen.length) },
  { title: 'WOULD DENY', cell: ({ would_denials: { total, standing } }) => denials(total, standing) },
  { title: 'EXCEPTIONS', cell: ({ exceptions }) => String(Object.keys(exceptions).length) },
  { title: 'VERDICT', cell: ({ verdict, why }) => `${paint(COLOURS[verdict], verdict)}: ${why}` },
]

/** Prints the report; `negative` unless every capability is ready or already enforced. */
export async function reportShadow(options: ReportOptions): Promise<ExitCode> {
  const nowMs = Date.now()
  const thresholds = {
    minCalls: parseCount('--min-calls', options.minCalls),
    minDays: parseCount('--min-days', options.minDays),
  }
  const sinceMs = parseSince(options.since, nowMs)
  const evidence = await readEvidence(options, sinceMs, Date.now)
  const { tally, file, policyDir, policy } = evidence
  const manifests = manifestsIn(policy.files)
  const names = [...new Set([...policy.files.knownCapabilities, ...tally.pairs.keys()])].sort()
  const capabilities: CapabilityReport[] = []
  for (const capability of names) {
    const pairs = tally.pairs.get(capability) ?? new Map<SpiffeId, never>()
    capabilities.push(await reportOn({ capability, pairs, manifests, evidence, thresholds, nowMs }))
  }
  const ready = capabilities.every(({ verdict }) => verdict === 'ready' || verdict === 'enforced')
  if (options.output === 'json') {
    const { revision } = policy.files
    const since = isoTime(sinceMs)
    const of = { audit_file: file, policy_dir: policyDir, policy_revision: revision, since }
    writeJson({ ...of, min_calls: thresholds.minCalls, min_days: thresholds.minDays, ready, capabilities })
  } else print(evidence, capabilities, ready)
  return ready ? EXIT.ok : EXIT.negative
}

function print({ file, tally, policyDir, policy }: Evidence, capabilities: CapabilityReport[], ready: boolean): void {
  const span = tally.firstAt === undefined ? '' : ` from ${tally.firstAt} to ${tally.lastAt ?? ''}`
  say(`${tally.calls} calls in ${file}${span}; policy ${policy.files.revision} of ${policyDir}`)
  if (capabilities.length > 0) writeTable(COLUMNS, capabilities)
  for (const report of capabilities) for (const line of details(report)) writeLine(line)
  const waiting = capabilities.filter(({ verdict }) => verdict !== 'ready' && verdict !== 'enforced').length
  say(ready ? 'every capability is ready or already enforced' : `${waiting} of ${capabilities.length} are not ready`)
}

function details({
  capability,
  would_denials,
  exceptions,
  callers_never_seen,
  unevaluated,
}: CapabilityReport): string[] {
  const denied = would_denials.by_caller.map(({ spiffe_id, denials, stands, reasons }) => {
    return `would deny ${denials}x ${spiffe_id}: ${stands ? reasons.join(', ') : 'allowed by the current policy'}`
  })
  const excepted = Object.entries(exceptions).map(([name, count]) => `${count}x by exception ${name}`)
  const unseen = callers_never_seen.map((spiffeId) => `never seen: ${spiffeId}`)
  const passed = unevaluated > 0 ? [`${unevaluated}x passed without a decision: the policy engine was down`] : []
  return [...denied, ...passed, ...excepted, ...unseen].map((line) => `${capability}  ${line}`)
}

function denials(total: number, standing: number): string {
  return total === standing ? String(total) : `${standing} (of ${total})`
}
