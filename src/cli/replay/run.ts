// `crank replay`: repeats every recorded decision with another policy at its recorded time. Reads only the logs and a
// policy folder; writes nothing.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isoTime } from '../../core/iso-time.ts'
import { filesOf, type AuditChain } from '../../audit/places.ts'
import { segmentsWithin } from '../../audit/segments-within.ts'
import { verifyAudit } from '../../audit/verify.ts'
import { loadWasm } from '../../policy/engine/compile.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../policy/data/policy-files.ts'
import { hashSources, policySourceHash } from '../../policy/data/source-hash.ts'
import { auditLogsOf, unreadable, type AuditLogs } from '../audit-config.ts'
import { describeFault } from '../audit-verify-print.ts'
import { CliError, EXIT, usageFailure, type ExitCode } from '../exit.ts'
import { parseSince } from '../option-values.ts'
import { say } from '../output.ts'
import type { FailOn } from './change.ts'
import { createMemoPlan, type MemoPlan } from './memo.ts'
import { findReaderOfTime } from './memo-scan.ts'
import { isPipe, PIECE_BYTES, piecesOf, sourcesOf } from './pieces.ts'
import { printReport, type ReplayFormat } from './print.ts'
import { createProgress } from './progress.ts'
import type { Window } from './recorded.ts'
import { counted, createReport, remarksOf, type Report } from './report.ts'
import { createTally, mergeTally, type Tally } from './tally.ts'
import { tallyPieces, threadsFor } from './threads.ts'
import type { ThreadTask } from './words.ts'
import { environment } from '../environment.ts'

type ReplayOptions = {
  readonly policy: string
  readonly auditFile?: string | undefined
  readonly auditDir?: string | undefined
  readonly stateDir?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly failOn: FailOn
  /** False: `--no-memo`. */
  readonly memo: boolean
  readonly verify?: true | undefined
  readonly output: ReplayFormat
}

/** Prints the changes; `negative` if there is one that `failOn` names. */
export async function replay(options: ReplayOptions): Promise<ExitCode> {
  const report = await replayLog(options)
  printReport(report, options.output)
  if (options.output !== 'markdown') for (const remark of remarksOf(report)) say(remark)
  sayHow(report)
  return report.failed ? EXIT.negative : EXIT.ok
}

/** Computes the changes. @throws {CliError} */
export async function replayLog(options: Omit<ReplayOptions, 'output'>): Promise<Report> {
  const logs = auditLogsOf(options, environment())
  const range = rangeOf(options, Date.now())
  const policy = await loadPolicy(options)
  return replayLogs(logs, range, policy, options)
}

/** The end of 9999: later times have more digits and would not sort. */
const LAST_MS = 253_402_300_799_999

/** The times of `--since` and `--until`, in Unix ms. */
type Range = { readonly since: number | undefined; readonly until: number | undefined }

type LoadedPolicy = {
  readonly files: PolicyFiles
  readonly wasm: Uint8Array
  readonly memo: MemoPlan | undefined
  readonly memoOff: string | null
}

async function replayLogs(
  { chains, name }: AuditLogs,
  range: Range,
  policy: LoadedPolicy,
  options: Omit<ReplayOptions, 'output'>,
): Promise<Report> {
  try {
    if (options.verify === true) for (const chain of chains) await verify(chain)
    const startMs = performance.now()
    const window = windowOf(range)
    const tally = await tallyFiles(await filesWithin(chains, range), { ...taskOf(policy), window })
    return createReport(tally, {
      audit: { file: name, verified: options.verify === true, from: window.from ?? null, until: window.until ?? null },
      policy: { dir: options.policy, revision: policy.files.revision },
      memoOff: policy.memoOff,
      failOn: options.failOn,
      elapsedMs: Math.round(performance.now() - startMs),
    })
  } catch (cause: unknown) {
    throw unreadable(name, cause)
  }
}

/** The segments that can have decisions of the range. */
async function filesWithin(chains: readonly AuditChain[], range: Range): Promise<string[]> {
  const files: string[] = []
  for (const { segments } of chains) for (const { file } of await segmentsWithin(segments, range)) files.push(file)
  return files
}

async function tallyFiles(files: readonly string[], task: ThreadTask): Promise<Tally> {
  const sources = await sourcesOf(files)
  const isSized = sources.every(({ size }) => size !== undefined)
  const bytes = isSized ? sources.reduce((sum, { size = 0 }) => sum + size, 0) : undefined
  const threads = threadsFor(bytes === undefined ? Infinity : Math.ceil(bytes / PIECE_BYTES))
  const progress = createProgress(bytes ?? 0, process.stderr, () => performance.now())
  const whole = createTally()
  let bytesDone = 0
  try {
    const onTally = (tally: Tally, size: number): void => {
      mergeTally(whole, tally)
      bytesDone += size
      progress.update(bytesDone, whole.counts.replayed)
    }
    await tallyPieces(piecesOf(sources), task, onTally, threads)
  } finally {
    progress.end()
  }
  return whole
}

function taskOf({ wasm, files, memo }: LoadedPolicy): Omit<ThreadTask, 'window'> {
  const { dataText, enforcement, blocked } = files
  return { wasm, files: { dataText, enforcement, blocked }, memo }
}

/** @throws {CliError} `usage` for a folder without a usable policy */
async function loadPolicy({ policy: dir, memo }: Pick<ReplayOptions, 'policy' | 'memo'>): Promise<LoadedPolicy> {
  try {
    const files = await loadPolicyFiles(dir, Date.now())
    for (const fault of files.dataFaults)
      say(`${join(dir, 'data', fault.file)}: ${fault.path} ${fault.reason}: no effect`)
    const wasm = await loadWasm(files, {
      env: environment(),
      onCompile: (reason) => say(`compiling with OPA: ${reason}`),
    })
    const memoOff = memo ? ((await findReader(files)) ?? null) : '--no-memo'
    return { files, wasm, memoOff, memo: memoOff === null ? createMemoPlan(files.dataText) : undefined }
  } catch (cause: unknown) {
    throw usageFailure('--policy cannot be used', cause)
  }
}

async function findReader({ dir, sourceSha256 }: PolicyFiles): Promise<string | undefined> {
  const { files } = await policySourceHash(dir)
  const sources = await Promise.all(
    files.map(async (name) => ({ name, content: await readFile(join(dir, name), 'utf8') })),
  )
  return hashSources(sources) === sourceSha256 ? findReaderOfTime(sources) : 'the folder is being changed; try again'
}

/** @throws {CliError} `negative` when the chain is broken: its decisions are then not proven; `usage` for a pipe */
async function verify(chain: AuditChain): Promise<void> {
  if (await isPipe(chain.place))
    throw new CliError(EXIT.usage, `--verify cannot read ${chain.place} twice: save the log in a file`)
  const verification = await verifyAudit(...filesOf(chain))
  const fault = describeFault(verification)
  const { file } = verification.firstBad ?? { file: chain.place }
  if (fault !== undefined) throw new CliError(EXIT.negative, `${file} was not replayed: ${fault}`)
}

function rangeOf({ since, until }: Pick<ReplayOptions, 'since' | 'until'>, nowMs: number): Range {
  const at = (option: string, when: string | undefined): number | undefined =>
    when === undefined ? undefined : Math.min(Math.max(parseSince(when, nowMs, option), 0), LAST_MS)
  return { since: at('--since', since), until: at('--until', until) }
}

function windowOf({ since, until }: Range): Window {
  const iso = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : isoTime(ms))
  return { from: iso(since), until: iso(until) }
}

function sayHow({ decisions, evaluated, memoised, memoOff, elapsedMs }: Report): void {
  if (decisions === 0) say('nothing to compare: the file has no decision in this time range')
  const rate = Math.round((decisions / Math.max(1, elapsedMs)) * 1000)
  const how =
    memoOff === null ? `${memoised.toLocaleString('en-US')} reused from an equal question` : `no memo (${memoOff})`
  say(
    `${counted(decisions, 'decision')} in ${(elapsedMs / 1000).toFixed(1)} s, ${rate.toLocaleString('en-US')}/s: ` +
      `${evaluated.toLocaleString('en-US')} evaluated, ${how}`,
  )
}
