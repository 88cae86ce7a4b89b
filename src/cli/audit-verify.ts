// `crank audit verify`: proves that no record was changed, removed or inserted.
import { filesOf, type AuditChain } from '../audit/places.ts'
import { verifyAudit, type Verification } from '../audit/verify.ts'
import { auditLogsOf, unreadable, type AuditOptions } from './audit-config.ts'
import { UNKNOWN_OUTCOME } from './unknown-outcome.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { paint, say, writeJson, writeLine } from './output.ts'
import { environment } from './environment.ts'

/**
 * Prints the result for `files`, which are one chain in this order, or for the log of every slot; `negative` when a chain is
 * broken or its last line is torn.
 */
export async function verifyAuditFiles(files: readonly string[], options: AuditOptions): Promise<ExitCode> {
  const chains = files.length > 0 ? [{ slot: null, place: files.join(' + '), files }] : slotsOf(options)
  const logs: Verified[] = []
  for (const { slot, place: file, files: chain } of chains) {
    const verification = await verifyAudit(...chain).catch((cause: unknown) => {
      throw unreadable(file, cause)
    })
    logs.push({ slot, file, ...verification })
  }
  const ok = logs.every((log) => log.ok)
  if (options.output === 'json') writeJson({ ok, logs })
  else for (const log of logs) print(log, logs.length > 1 ? `slot ${log.slot}: ` : '')
  return ok ? EXIT.ok : EXIT.negative
}

type Verified = { readonly slot: number | null; readonly file: string } & Verification

function slotsOf(options: AuditOptions): (AuditChain & { readonly files: readonly string[] })[] {
  return auditLogsOf(options, environment()).chains.map((chain) => ({ ...chain, files: filesOf(chain) }))
}

/** The fault of the file in one sentence; undefined without a fault. */
export function describeFault({ firstBad, tornTailBytes }: Verification): string | undefined {
  if (firstBad !== undefined) return `record ${firstBad.seq} (line ${firstBad.line}) is invalid: ${firstBad.message}`
  if (tornTailBytes > 0) return `the last line is torn (${tornTailBytes} bytes without an end)`
  return undefined
}

function print({ file, ...verification }: Verified, slot: string): void {
  const fault = describeFault(verification)
  const { records, head, continues, withoutOutcome } = verification
  const chain = slot + file
  if (fault === undefined) {
    writeLine(`${paint('green', '√')} ${chain}: ${records} records, chain intact, head ${head?.hash ?? 'none'}`)
    if (withoutOutcome > 0) say(`${slot}calls without an outcome: ${withoutOutcome}; ${UNKNOWN_OUTCOME}`)
    if (continues !== undefined) {
      say(`${slot}it continues another file, whose last record is ${continues.seq} with hash ${continues.hash}`)
      say('to check both: crank audit verify <file before> <this file>')
    }
    return
  }
  writeLine(`${paint('red', '×')} ${chain}: ${fault}; ${records} records before it are intact`)
  if (verification.firstBad === undefined) say(`${slot}a controller that starts on this file repairs it`)
  else say(`${slot}keep the file unchanged and compare it with a copy; later records are not proven`)
}
