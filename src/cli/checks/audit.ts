// The audit logs: they exist, writable, private, and each with an intact chain.
import { access, constants, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import Type from 'typebox'
import { diskOutlook, factsOf } from '../../audit/outlook.ts'
import { isFull } from '../../audit/retention.ts'
import { auditSettings, parseMinFree, type MinFree } from '../../platform/audit-settings.ts'
import { formatBytes } from '../../platform/byte-size.ts'
import { ConfigError, loadConfig } from '../../platform/env.ts'
import { readSetting } from '../../platform/settings.ts'
import { filesOf, type AuditChain } from '../../audit/places.ts'
import { verifyAudit } from '../../audit/verify.ts'
import type { AuditLogs } from '../audit-config.ts'
import { describeFault } from '../audit-verify.ts'
import { messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const OTHERS = 0o077
/** Time enough to get a larger disk. */
const FEW_DAYS = 14
const MANY_DAYS = 3 * 365
const MinFreeEnv = Type.Object({ CRANK_AUDIT_MIN_FREE: auditSettings.CRANK_AUDIT_MIN_FREE })

export async function checkAudit(logs: () => AuditLogs, env: NodeJS.ProcessEnv, now: () => number): Promise<Finding[]> {
  try {
    const findings: Finding[] = []
    const { chains, name } = logs()
    if (chains.length === 0) findings.push(notYet(name))
    for (const chain of chains) findings.push(...(await checkSlot(chain)))
    if (chains.length > 0) findings.push(await checkDisk(chains, env, now))
    return findings
  } catch (cause: unknown) {
    return [unusable(cause)]
  }
}

/** The newest segment is the one that is written. */
async function checkSlot(chain: AuditChain): Promise<Finding[]> {
  const newest = filesOf(chain).at(-1) ?? chain.place
  try {
    await access(newest, constants.R_OK)
    await access(dirname(newest), constants.W_OK)
    const open: string[] = []
    for (const file of filesOf(chain)) if (((await stat(file)).mode & OTHERS) !== 0) open.push(file)
    const privacy = open.map((file) =>
      warn('audit file', `${file} is accessible to other users`, `chmod go-rwx ${file}`),
    )
    return [...privacy, await checkChain(chain)]
  } catch (cause: unknown) {
    return [unusable(cause)]
  }
}

function notYet(name: string): Finding {
  const cure = 'a controller creates it; for another place set CRANK_AUDIT_DIR'
  return warn('audit file', `${name} does not exist yet`, cure)
}

function unusable(cause: unknown): Finding {
  return fail('audit file', messageOf(cause), 'run as the user of the controller, or fix the permissions')
}

async function checkChain(chain: AuditChain): Promise<Finding> {
  const file = chain.place
  const verification = await verifyAudit(...filesOf(chain))
  const fault = describeFault(verification)
  if (fault === undefined) return ok('audit chain', `${file}: ${verification.records} records, chain intact`)
  if (verification.firstBad === undefined) return warn('audit chain', `${file}: ${fault}`, 'the next start repairs it')
  return fail('audit chain', `${file}: ${fault}`, 'move the file away, keep it as evidence, and start a new one')
}

/** How long the disk lasts. */
async function checkDisk(chains: readonly AuditChain[], env: NodeJS.ProcessEnv, now: () => number): Promise<Finding> {
  const minFree = minFreeOf(env)
  const facts = (await Promise.all(chains.map(({ segments }) => factsOf(segments)))).flat()
  const folder = dirname(facts[0]?.file ?? '.')
  const disk = diskOutlook(folder, facts, { minFree, nowMs: now() })
  const { bytes, freeBytes, minFreeBytes, bytesPerDay, daysLeft } = disk
  const used = `${formatBytes(bytes)} of audit log, ${formatBytes(freeBytes)} of the disk free`
  const cure = 'give it a larger disk, or limit what is kept: CRANK_AUDIT_KEEP'
  if (isFull(disk)) {
    const least = `less than the ${formatBytes(minFreeBytes)} of CRANK_AUDIT_MIN_FREE`
    return fail('audit disk', `${used}, ${least}: calls are refused, unless CRANK_AUDIT_FULL=drop_unshipped`, cure)
  }
  if (daysLeft === undefined || daysLeft > MANY_DAYS) return ok('audit disk', `${used}: lasts for years`)
  const lasts = `${used}, ${formatBytes(bytesPerDay)} a day: lasts for ${daysLeft.toFixed(daysLeft < 10 ? 1 : 0)} days`
  return daysLeft < FEW_DAYS ? warn('audit disk', lasts, cure) : ok('audit disk', lasts)
}

function minFreeOf(env: NodeJS.ProcessEnv): MinFree {
  const { CRANK_AUDIT_MIN_FREE } = loadConfig(MinFreeEnv, { env })
  const faults: string[] = []
  const minFree = readSetting('CRANK_AUDIT_MIN_FREE', CRANK_AUDIT_MIN_FREE, parseMinFree, faults)
  if (minFree === undefined) throw new ConfigError(faults)
  return minFree
}
