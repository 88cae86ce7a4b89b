// Metrics of the link to the store that the controllers of a mesh share.
import { Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

type MeshHealth = { readonly awayMs: number | undefined; readonly unwritten: number }

export function createMeshMetrics(registry: Registry, health: () => MeshHealth): void {
  const gauge = (name: string, help: string, value: (health: MeshHealth) => number): void => {
    const made: Gauge = new Gauge({ name, help, registers: [registry], collect: () => made.set(value(health())) })
    guardCollector(made)
  }
  gauge(
    'controller_mesh_connected',
    '1 while the shared store is used, 0 while it is away. Absent without CRANK_NATS_URL.',
    ({ awayMs }) => (awayMs === undefined ? 1 : 0),
  )
  gauge(
    'controller_mesh_unwritten_changes',
    'Registrations and their ends that the shared store does not have yet.',
    ({ unwritten }) => unwritten,
  )
}
