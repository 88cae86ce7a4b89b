// The policy that is tried beside the active one, with its metrics and its log.
import type { Logger } from '../../platform/logger.ts'
import type { Registry } from '../../platform/metrics.ts'
import { createCandidateMetrics } from '../candidate/metrics-candidate.ts'
import { createCandidate, type Candidate } from '../candidate/candidate.ts'
import { createDisagreementLog } from '../candidate/disagreements.ts'

export type StartCandidateOptions = {
  /** Undefined: there is none. */
  readonly candidatePolicyDir: string | undefined
  readonly env: NodeJS.ProcessEnv
  readonly log: Logger
  readonly monotonic: () => number
  readonly registry: Registry
}

const DISAGREEMENTS_LOGGED_PER_SECOND = 10

export function startCandidate(options: StartCandidateOptions): Candidate | undefined {
  const { candidatePolicyDir: policyDir, env, log, monotonic } = options
  if (policyDir === undefined) return undefined
  const metrics = createCandidateMetrics(options.registry)
  const logIfDifferent = createDisagreementLog({ log, monotonic, perSecond: DISAGREEMENTS_LOGGED_PER_SECOND })
  return createCandidate({
    policyDir,
    env,
    log,
    onCompared(comparison) {
      metrics.compared({ active: comparison.active.decision, candidate: comparison.candidate.decision })
      logIfDifferent(comparison)
    },
    onSkipped: metrics.skipped,
    onRevision: metrics.loaded,
  })
}
