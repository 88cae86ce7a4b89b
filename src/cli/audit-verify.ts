// `crank audit verify`: proves that no record was changed, removed or inserted.
import { verifyAudit, type Verification } from '../audit/verify.ts'
import { auditFileOf, unreadable, type AuditOptions } from './audit-config.ts'
import { UNKNOWN_OUTCOME } from './unknown-outcome.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { paint, say, writeJson, writeLine } from './output.ts'
import { environment } from './environment.ts'

/** Prints the result for `files` in order; `negative` when the chain is broken or its last line is torn. */
export async function verifyAuditFiles(files: readonly string[], options: AuditOptions): Promise<ExitCode> {
  const all = files.length > 0 ? files : [auditFileOf(options, environment())]
  const names = all.join(' + ')
  const verification = await verifyAudit(...all).catch((cause: unknown) => {
    throw unreadable(fileOf(cause) ?? names, cause)
  })
  if (options.output === 'json') writeJson({ file: names, ...verification })
  else print(names, verification)
  return verification.ok ? EXIT.ok : EXIT.negative
}

/** The fault of the file in one sentence; undefined without a fault. */
export function describeFault({ firstBad, tornTailBytes }: Verification): string | undefined {
  if (firstBad !== undefined) return `record ${firstBad.seq} (line ${firstBad.line}) is invalid: ${firstBad.message}`
  if (tornTailBytes > 0) return `the last line is torn (${tornTailBytes} bytes without an end)`
  return undefined
}

function print(file: string, verification: Verification): void {
  const fault = describeFault(verification)
  const { records, head, continues, withoutOutcome } = verification
  if (fault === undefined) {
    writeLine(`${paint('green', '√')} ${file}: ${records} records, chain intact, head ${head?.hash ?? 'none'}`)
    if (withoutOutcome > 0) say(`calls without an outcome: ${withoutOutcome}; ${UNKNOWN_OUTCOME}`)
    if (continues !== undefined) {
      say(`it continues another file, whose last record is ${continues.seq} with hash ${continues.hash}`)
      say('to check both: crank audit verify <file before> <this file>')
    }
    return
  }
  writeLine(`${paint('red', '×')} ${file}: ${fault}; ${records} records before it are intact`)
  if (verification.firstBad === undefined) say('a controller that starts on this file repairs it')
  else say('keep the file unchanged and compare it with a copy; later records are not proven')
}

/** The file of a file system error. */
function fileOf(cause: unknown): string | undefined {
  return cause instanceof Error ? (cause as NodeJS.ErrnoException).path : undefined
}
