// Whether calls can be served now, and if not, why not: one list of checks for /readyz, /health and `crank check`.
import { isoTime } from '../core/iso-time.ts'

/** `reason` when ok: a problem that does not affect readiness. */
export type Check = { readonly name: string; readonly ok: boolean; readonly reason?: string }
export type Readiness = { readonly status: 'ready' | 'not_ready'; readonly checks: readonly Check[] }

export type ReadinessSources = {
  readonly policy: () => { readonly ok: boolean; readonly reason?: string }
  readonly audit: () => { readonly ok: boolean; readonly reason?: string }
  readonly svid: () => { readonly notBeforeMs: number; readonly notAfterMs: number }
  /** Why the certificate could not be renewed; it stays in use, so this does not affect readiness before it expires. */
  readonly svidFault: () => string | undefined
  /** What is wrong with the SLO files; the last good ones stay in force, so this does not affect readiness. */
  readonly slos: () => string | undefined
  /** What is wrong with the link to other controllers; this one goes on alone, so this does not affect readiness. */
  readonly mesh: () => string | undefined
  readonly isLeaving: () => boolean
  readonly now: () => number
}

/** Checks every part. Never throws. */
export function readinessOf(sources: ReadinessSources): Readiness {
  const checks: Check[] = [
    check('policy', sources.policy()),
    check('audit', sources.audit()),
    check('certificate', withFault(validity(sources.svid(), sources.now()), sources.svidFault())),
    check('lifecycle', sources.isLeaving() ? { ok: false, reason: 'shutting down' } : { ok: true }),
  ]
  for (const name of ['slos', 'mesh'] as const) {
    const note = sources[name]()
    if (note !== undefined) checks.push({ name, ok: true, reason: note })
  }
  return { status: checks.every(({ ok }) => ok) ? 'ready' : 'not_ready', checks }
}

/** The clock may have been set back since the certificate was loaded. */
function validity(
  { notBeforeMs, notAfterMs }: ReturnType<ReadinessSources['svid']>,
  nowMs: number,
): Omit<Check, 'name'> {
  if (notAfterMs <= nowMs) return { ok: false, reason: "the controller's certificate has expired" }
  if (notBeforeMs <= nowMs) return { ok: true }
  const from = isoTime(notBeforeMs)
  return { ok: false, reason: `the controller's certificate is not valid before ${from}; check the clock` }
}

function withFault({ ok, reason }: Omit<Check, 'name'>, fault: string | undefined): Omit<Check, 'name'> {
  const reasons = [reason, fault].filter((each) => each !== undefined)
  return reasons.length === 0 ? { ok } : { ok, reason: reasons.join('; ') }
}

function check(name: string, { ok, reason }: { readonly ok: boolean; readonly reason?: string }): Check {
  return reason === undefined ? { name, ok } : { name, ok, reason }
}
