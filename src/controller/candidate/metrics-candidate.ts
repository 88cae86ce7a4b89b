// Metrics of the candidate policy; they exist only if one is configured.
import { Counter, Gauge } from 'prom-client'
import type { Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'

type Word = 'allow' | 'deny'

type CandidateMetrics = {
  readonly compared: (pair: { active: Word; candidate: Word }) => void
  /** Questions that could not be compared. */
  readonly skipped: (reason: 'dropped' | 'undecided', count: number) => void
  readonly loaded: (revision: string) => void
}

export function createCandidateMetrics(registry: Registry): CandidateMetrics {
  const registers = [registry]
  const decisions = new Counter({
    name: 'controller_candidate_decisions_total',
    help: 'Decisions of the active policy compared with those of the candidate.',
    labelNames: ['active', 'candidate'],
    registers,
  })
  const skips = new Counter({
    name: 'controller_candidate_skipped_total',
    help: 'Decisions that were not compared: the candidate was behind or down (dropped), or made no decision (undecided).',
    labelNames: ['reason'],
    registers,
  })
  const revisions = new Gauge({
    name: 'controller_candidate_revision_info',
    help: 'Candidate policy in use; always 1.',
    labelNames: ['revision'],
    registers,
  })
  for (const active of ['allow', 'deny']) {
    for (const candidate of ['allow', 'deny']) decisions.inc({ active, candidate }, 0)
  }
  for (const reason of ['dropped', 'undecided']) skips.inc({ reason }, 0)
  return asObserver<CandidateMetrics>({
    compared: ({ active, candidate }) => decisions.inc({ active, candidate }),
    skipped: (reason, count) => skips.inc({ reason }, count),
    loaded(revision) {
      // Keep one series only: those of past revisions would accumulate.
      revisions.reset()
      revisions.set({ revision }, 1)
    },
  })
}
