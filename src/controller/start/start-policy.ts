// The live policy with everything that follows from a change: audit record, metrics, the registered workers.
import type { Logger } from '../../platform/logger.ts'
import { isoTime, type AuditEvent } from '../../audit/event.ts'
import type { ControllerConfig } from '../config.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { createLivePolicy, type LivePolicy } from '../live-policy/live-policy.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'

export type StartPolicyOptions = {
  readonly config: ControllerConfig
  readonly env: NodeJS.ProcessEnv
  readonly append: (event: AuditEvent) => Promise<void>
  readonly metrics: Metrics
  readonly log: Logger
  readonly now: () => number
  readonly monotonic: () => number
}

/** @throws what createLivePolicy throws: a controller without a usable policy does not start */
export async function startPolicy({ config, append, metrics, ...rest }: StartPolicyOptions): Promise<LivePolicy> {
  const { policyDir, opa, policyTimeoutMs: timeoutMs, policyStaleness: staleness } = config
  const { policyBundleRollback: bundleRollback } = config
  const policy = await createLivePolicy({
    ...rest,
    policyDir,
    opa,
    timeoutMs,
    staleness,
    bundleRollback,
    record: ({ scope, previous, next, changed }) =>
      append({
        event: 'policy_changed',
        timestamp: isoTime(rest.now()),
        engine: next.engine.name,
        old_revision: previous?.revision ?? null,
        new_revision: next.revision,
        scope,
        changed,
      }),
  })
  const show = (files: PolicyFiles, revision: string): void => {
    metrics.setKnownCapabilities(files.knownCapabilities)
    metrics.policyLoaded({ revision, engine: policy.engine })
  }
  show(policy.files(), policy.revision())
  policy.onChange(({ scope, next }) => {
    // The policy is the same, and as old as it was.
    if (scope === 'blocked') return
    show(next.files, next.revision)
    metrics.policyReloaded('ok')
  })
  policy.onFault(() => metrics.policyReloaded('failed'))
  return policy
}
