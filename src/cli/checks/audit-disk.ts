// How long the disk of the audit logs lasts.
import { dirname } from 'node:path'
import Type from 'typebox'
import { diskOutlook, segmentFacts } from '../../audit/outlook.ts'
import type { AuditChain } from '../../audit/places.ts'
import { isFull } from '../../audit/retention.ts'
import { auditSettings, parseAuditSettings, type AuditLimits } from '../../platform/audit-settings.ts'
import { formatBytes } from '../../platform/byte-size.ts'
import { checkConfig } from '../../platform/env.ts'
import { ConfigError } from '../../platform/setting-fault.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

/** Time enough to get a larger disk. */
const FEW_DAYS = 14
const MANY_DAYS = 3 * 365
const AuditEnv = Type.Object(auditSettings)

/** Rejects with the file system's error. @throws {ConfigError} */
export async function checkDisk(
  chains: readonly AuditChain[],
  env: NodeJS.ProcessEnv,
  now: () => number,
): Promise<Finding> {
  const { keep, minFree } = settingsOf(env)
  const facts = (await Promise.all(chains.map(({ segments }) => segmentFacts(segments)))).flat()
  const folder = dirname(facts[0]?.file ?? '.')
  const disk = diskOutlook(folder, facts, { minFree, keep, nowMs: now() })
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

function settingsOf(env: NodeJS.ProcessEnv): AuditLimits {
  const { values, faults } = checkConfig(AuditEnv, { env })
  const settings = parseAuditSettings(values, faults)
  if (settings === undefined || faults.length > 0) throw new ConfigError(faults)
  return settings
}
