// `crank audit verify`: proves that no record was changed, removed or inserted, and with a checkpoint that none is missing at the end.
import type { TrustedKey } from '../audit/checkpoint-trust.ts'
import { openSegment } from '../audit/segment-bytes.ts'
import { verifySegments, type AuditPart, type Verification } from '../audit/verify.ts'
import { loadCheckpoints, loadTrustedKeys, type GivenCheckpoint } from './audit-checkpoints.ts'
import { unreadable, type AuditOptions } from './audit-config.ts'
import { checkpointFaults, knownBy, provenBy, type ProofOf } from './audit-proof.ts'
import { logsToVerify, ownCheckpoints, partsSince, type Log } from './audit-verify-logs.ts'
import { printVerified, type Verified } from './audit-verify-print.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { writeJson } from './output.ts'
import { createProgress } from './replay/progress.ts'

type VerifyOptions = AuditOptions & {
  checkpoint?: readonly string[] | undefined
  publicKey?: readonly string[] | undefined
  since?: string | undefined
  json?: true | undefined
}

type Asked = { readonly given: readonly GivenCheckpoint[]; readonly keys: readonly TrustedKey[] }

/**
 * Prints the result for `files`, which are one chain in this order, or for the log of every slot; `negative` when a chain is
 * broken, its last line is torn, or a checkpoint contradicts it.
 */
export async function verifyAuditFiles(files: readonly string[], options: VerifyOptions): Promise<ExitCode> {
  const given = await loadCheckpoints(options.checkpoint ?? [])
  const keys = await loadTrustedKeys(options.publicKey ?? [])
  const slots = given.map(({ checkpoint }) => checkpoint.slot)
  const logs: Verified[] = []
  for (const log of logsToVerify(files, options, slots)) {
    const part = await partsSince(log, options.since, Date.now())
    logs.push(
      await verifyLog(part, { given, keys }).catch((cause: unknown) => {
        throw unreadable(log.place, cause)
      }),
    )
  }
  const ok = logs.every((log) => log.ok)
  if (options.output === 'json' || options.json === true) writeJson({ ok, logs })
  else for (const log of logs) printVerified(log, logs.length > 1 ? `slot ${log.slot}: ` : '')
  return ok ? EXIT.ok : EXIT.negative
}

async function verifyLog(log: Log, { given, keys }: Asked): Promise<Verified> {
  const { slot, checkpointSlot, place: file, parts, isWhole } = log
  // Named files get all checkpoints that were given; a slot gets its own.
  const meant = given.filter(({ checkpoint }) => slot === null || checkpoint.slot === slot)
  const proof: ProofOf = { slot: checkpointSlot, own: ownCheckpoints(log), given: meant, keys }
  const progress = createProgress(await bytesOf(parts), process.stderr, performance.now.bind(performance), 'records')
  let bytes = 0
  const onProgress = (count: number, records: number): void => progress.update((bytes += count), records)
  const verification = await verifySegments(parts, { isWhole, known: knownBy(proof), onProgress }).finally(progress.end)
  const { signingKeys = [], faults, ...rest } = verification
  const own = checkpointFaults(proof, signingKeys)
  const all = [...faults, ...own]
  const [firstBad] = all
  return {
    slot,
    file,
    isWhole,
    segments: parts.length,
    ...without(rest),
    ok: rest.ok && own.length === 0,
    ...(firstBad !== undefined && { firstBad }),
    faults: all,
    faultCount: rest.faultCount + own.length,
    checkpoint: provenBy(proof, verification) ?? null,
    ownCheckpointBehind: behind(ownCheckpoints(log)?.newest?.seq, rest.head?.seq),
  }
}

function without({ firstBad: _, provenUpTo: __, ...rest }: Omit<Verification, 'signingKeys' | 'faults'>) {
  return rest
}

/** Read when the check is over: a log that is being written has gone on meanwhile. */
function behind(own: number | undefined, head: number | undefined): number | null {
  return own === undefined || head === undefined ? null : Math.max(0, head - own)
}

/** Only a terminal shows how much is left. */
async function bytesOf(parts: readonly AuditPart[]): Promise<number> {
  if (!process.stderr.isTTY) return 0
  let bytes = 0
  for (const { file } of parts) {
    const segment = await openSegment(file)
    bytes += await segment.size()
    await segment.close()
  }
  return bytes
}
