// The clock: certificates, exceptions and audit records depend on it, and machines should agree on it.
import { isoTime } from '../../core/iso-time.ts'
import { ok, warn, type Finding } from './finding.ts'

const TOLERATED_MS = 5000

/**
 * @param nowMs this machine's clock
 * @param controllerDate the `Date` header of the controller, to the second; undefined when it did not answer
 */
export function checkClock(nowMs: number, controllerDate: string | undefined): Finding {
  const here = isoTime(nowMs)
  const there = controllerDate === undefined ? Number.NaN : Date.parse(controllerDate)
  if (Number.isNaN(there)) return ok('clock', `${here}; no controller to compare it with`)
  const apartMs = Math.abs(nowMs - there)
  if (apartMs <= TOLERATED_MS) return ok('clock', `${here}, as the controller's`)
  const message = `${here}, but the controller says ${isoTime(there)}`
  return warn('clock', message, 'synchronise both by NTP: certificates and exceptions begin and expire by the clock')
}
