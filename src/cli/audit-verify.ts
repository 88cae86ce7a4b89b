// `crank audit verify`: proves that no record was changed, taken out or put in.
import { verifyAudit, type Verification } from '../controller/audit/verify.ts'
import { auditFileOf, unreadable, type AuditOptions } from './audit-config.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { paint, say, writeJson, writeLine } from './output.ts'

/** Prints the verdict; `negative` when the chain is broken or its last line is torn. */
export async function verifyAuditFile(options: AuditOptions): Promise<ExitCode> {
  const file = auditFileOf(options, process.env)
  const verification = await verifyAudit(file).catch((cause: unknown) => {
    throw unreadable(file, cause)
  })
  if (options.output === 'json') writeJson({ file, ...verification })
  else print(file, verification)
  return verification.ok ? EXIT.ok : EXIT.negative
}

/** What is wrong with the file, in one sentence; undefined when nothing is. */
export function describeFault({ firstBad, tornTailBytes }: Verification): string | undefined {
  if (firstBad !== undefined) return `record ${firstBad.seq} (line ${firstBad.line}) is bad: ${firstBad.message}`
  if (tornTailBytes > 0) return `the last line is torn (${tornTailBytes} bytes without an end)`
  return undefined
}

function print(file: string, verification: Verification): void {
  const fault = describeFault(verification)
  const { records, head } = verification
  if (fault === undefined) {
    writeLine(`${paint('green', '√')} ${file}: ${records} records, chain whole, head ${head?.hash ?? 'none'}`)
    return
  }
  writeLine(`${paint('red', '×')} ${file}: ${fault}; ${records} records before it are whole`)
  if (verification.firstBad === undefined) say('a controller that starts on this file repairs it')
  else say('keep the file as it is, and compare it with a copy: what stands from there on is not proven')
}
