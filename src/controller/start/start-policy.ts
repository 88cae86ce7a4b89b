// Starts the live policy, with everything that a change triggers: audit record, metrics, the known capabilities.
import { stat } from 'node:fs/promises'
import { isoTime } from '../../core/iso-time.ts'
import { ConfigError } from '../../platform/setting-fault.ts'
import type { BlockSource } from '../../policy/data/block-entry.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import type { Append } from '../audit/group-commit.ts'
import { createLivePolicy, type LivePolicy } from '../live-policy/live-policy.ts'
import { createCacheMetrics } from '../metrics/cache-metrics.ts'
import { createSidecarMetrics } from '../metrics/sidecar-metrics.ts'
import type { Ground } from './ground.ts'

/** @throws {ConfigError} without a policy folder; else like createLivePolicy: a controller does not start without a policy */
export async function startPolicy(
  ground: Ground,
  append: Append,
  meshBlocks: BlockSource | undefined,
): Promise<LivePolicy> {
  const { config, env, metrics, metricsRegistry, log, now, monotonic, opened, siblings } = ground
  await refuseMissingFolder(config.policyDir)
  const policy = opened.adopt(
    await createLivePolicy({
      policyDir: config.policyDir,
      opa: config.opa,
      timeoutMs: config.policyTimeoutMs,
      staleness: config.policyStaleness,
      bundleRollback: config.policyBundleRollback,
      decisionCache: config.decisionCache,
      ...(siblings !== undefined && { turn: siblings.policyTurn }),
      env,
      log,
      now,
      monotonic,
      meshBlocks,
      recordBlock: ({ sign, entry }, revision) =>
        append({
          event: 'block_changed',
          timestamp: isoTime(now()),
          names: [`${sign}${entry.name}`],
          requested_by: entry.by,
          requested_at: entry.at,
          reason: entry.reason,
          policy_revision: revision,
        }),
      record: ({ scope, previous, next, changed }) =>
        append({
          event: 'policy_changed',
          timestamp: isoTime(now()),
          engine: next.engine.name,
          old_revision: previous?.revision ?? null,
          new_revision: next.revision,
          scope,
          changed,
        }),
    }),
    ({ close }) => close(),
  )
  const show = (files: PolicyFiles, revision: string): void => {
    metrics.setKnownCapabilities(files.knownCapabilities)
    metrics.policyLoaded({ revision, engine: policy.engine })
  }
  show(policy.files(), policy.revision())
  policy.onChange(({ scope, next }) => {
    // The policy itself has not changed, and its age stays the same.
    if (scope === 'blocked') return
    show(next.files, next.revision)
    metrics.policyReloaded('ok')
  })
  if (policy.traffic !== undefined) createSidecarMetrics(metricsRegistry, policy.traffic)
  if (policy.cache !== undefined) createCacheMetrics(metricsRegistry, policy.cache.counts)
  policy.onFault(() => metrics.policyReloaded('failed'))
  return policy
}

async function refuseMissingFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch((cause: unknown) => cause as NodeJS.ErrnoException)
  if (found instanceof Error && found.code !== 'ENOENT') throw found
  if (!(found instanceof Error) && found.isDirectory()) return
  const what = found instanceof Error ? 'no such folder' : 'not a folder'
  throw new ConfigError([`CRANK_POLICY_DIR=${dir}: ${what}; set it to the folder of your Rego files`])
}
