// The dashboards and their file names.
import { auditAndIdentity } from './audit-and-identity.ts'
import type { DashboardModel } from './dashboard.ts'
import { policy } from './policy.ts'
import { routing } from './routing.ts'

/** By file name in grafana/dashboards. */
export const DASHBOARDS: Readonly<Record<string, DashboardModel>> = {
  'policy.json': policy,
  'routing.json': routing,
  'audit-and-identity.json': auditAndIdentity,
}
