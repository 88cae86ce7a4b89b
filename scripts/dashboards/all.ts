// The dashboards and the files they are written to.
import { auditAndIdentity } from './audit-and-identity.ts'
import type { DashboardModel } from './dashboard.ts'
import { policy } from './policy.ts'
import { routing } from './routing.ts'

/** By the name of the file in grafana/dashboards. */
export const DASHBOARDS: Readonly<Record<string, DashboardModel>> = {
  'policy.json': policy,
  'routing.json': routing,
  'audit-and-identity.json': auditAndIdentity,
}
