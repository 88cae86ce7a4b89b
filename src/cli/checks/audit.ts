// The audit log: exists, writable, private, and with an intact chain.
import { access, constants, stat } from 'node:fs/promises'
import { verifyAudit } from '../../audit/verify.ts'
import { describeFault } from '../audit-verify.ts'
import { messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const OTHERS = 0o077

export async function checkAudit(file: string): Promise<Finding[]> {
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
    return [fail('audit file', messageOf(cause), 'run as the user of the controller, or fix the permissions')]
  }
}

async function checkChain(file: string): Promise<Finding> {
  const verification = await verifyAudit(file)
  const fault = describeFault(verification)
  if (fault === undefined) return ok('audit chain', `${file}: ${verification.records} records, chain intact`)
  if (verification.firstBad === undefined) return warn('audit chain', `${file}: ${fault}`, 'the next start repairs it')
  return fail('audit chain', `${file}: ${fault}`, 'move the file away, keep it as evidence, and start a new one')
}
