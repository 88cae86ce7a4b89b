// Starts the candidate policy, which is evaluated beside the active one, with its metrics and its log.
import { createCandidate, type Candidate } from '../candidate/candidate.ts'
import { createDisagreementLog } from '../candidate/disagreements.ts'
import { createCandidateMetrics } from '../candidate/metrics-candidate.ts'
import type { Ground } from './ground.ts'

const DISAGREEMENTS_LOGGED_PER_SECOND = 10

/** Undefined if none is configured. */
export function startCandidate(ground: Ground): Candidate | undefined {
  const { config, env, log, monotonic, metricsRegistry, opened } = ground
  const { candidatePolicyDir: policyDir } = config
  if (policyDir === undefined) return undefined
  const metrics = createCandidateMetrics(metricsRegistry)
  const logIfDifferent = createDisagreementLog({ log, monotonic, perSecond: DISAGREEMENTS_LOGGED_PER_SECOND })
  return opened.adopt(
    createCandidate({
      policyDir,
      env,
      log,
      onCompared(comparison) {
        metrics.compared({ active: comparison.active.decision, candidate: comparison.candidate.decision })
        logIfDifferent(comparison)
      },
      onSkipped: metrics.skipped,
      onRevision: metrics.loaded,
    }),
    ({ close }) => close(),
  )
}
