// The audit logs: they exist, writable, private, and each with an intact chain.
import { access, constants, stat } from 'node:fs/promises'
import type { AuditPlace } from '../../audit/places.ts'
import { verifyAudit } from '../../audit/verify.ts'
import { describeFault } from '../audit-verify.ts'
import { messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const OTHERS = 0o077

export async function checkAudit(places: () => readonly AuditPlace[]): Promise<Finding[]> {
  try {
    const findings: Finding[] = []
    for (const { file } of places()) findings.push(...(await checkFile(file)))
    return findings
  } catch (cause: unknown) {
    return [unusable(cause)]
  }
}

async function checkFile(file: string): Promise<Finding[]> {
  try {
    const { mode } = await stat(file)
    await access(file, constants.W_OK)
    const privacy =
      (mode & OTHERS) === 0 ? [] : [warn('audit file', `${file} is accessible to other users`, `chmod 600 ${file}`)]
    return [...privacy, await checkChain(file)]
  } catch (cause: unknown) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      return [
        warn(
          'audit file',
          `${file} does not exist yet`,
          'a controller creates it; for another path set CRANK_AUDIT_FILE',
        ),
      ]
    }
    return [unusable(cause)]
  }
}

function unusable(cause: unknown): Finding {
  return fail('audit file', messageOf(cause), 'run as the user of the controller, or fix the permissions')
}

async function checkChain(file: string): Promise<Finding> {
  const verification = await verifyAudit(file)
  const fault = describeFault(verification)
  if (fault === undefined) return ok('audit chain', `${file}: ${verification.records} records, chain intact`)
  if (verification.firstBad === undefined) return warn('audit chain', `${file}: ${fault}`, 'the next start repairs it')
  return fail('audit chain', `${file}: ${fault}`, 'move the file away, keep it as evidence, and start a new one')
}
