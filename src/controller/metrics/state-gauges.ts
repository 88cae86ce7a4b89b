// Gauges: read from the controller's parts at each scrape, so that none can go stale.
import { Gauge } from 'prom-client'
import type { Capability } from '../../core/capability.ts'
import type { WorkerState } from '../../core/worker-health.ts'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

/** The sources of the gauges. Times in Unix ms. */
export type ControllerState = {
  readonly workers: () => Readonly<Record<WorkerState, number>>
  /** Capabilities with at least one live worker. */
  readonly capabilities: () => number
  /** Live workers that provide a capability. */
  readonly providers: (capability: Capability) => number
  readonly audit: () => { readonly ok: boolean; readonly queued: number; readonly oldestMs: number }
  /** The disk of the audit log; undefined until it was looked at. Gauges are there from then on. */
  readonly auditDisk: () => AuditDisk | undefined
  /** Validity of the controller's certificate. */
  readonly svid: () => { readonly notBeforeMs: number; readonly notAfterMs: number }
  /** The policy engine answers and its self-check passed. */
  readonly policyReady: () => boolean
  /** When the policy in force was last confirmed to be the intended one; stale: too long ago. */
  readonly policyLastSuccessMs: () => number
  readonly policyStale: () => boolean
  /** Why the policy in force is not confirmed to be the intended one; does not affect readiness. */
  readonly policyNotes: () => Readonly<Record<string, boolean>>
  /** Entries of the block lists: of blocked.json, and of the mesh. */
  readonly blocks: () => Readonly<Record<'file' | 'mesh', number>>
  /** Entries of the enforcement data that let denied calls pass. */
  readonly shadowEntries: () => Readonly<Record<'default' | 'callers' | 'capabilities', number>>
  readonly openConnections: () => number
}

/** `oldestMs`: time of the oldest record. `daysLeft`: undefined while the log does not grow. */
export type AuditDisk = {
  readonly bytes: number
  readonly oldestMs: number | undefined
  readonly freeBytes: number
  readonly minFreeBytes: number
  readonly daysLeft: number | undefined
}

type StateGauges = {
  readonly policyLoaded: (event: { revision: string; engine: string }) => void
  readonly observe: (state: ControllerState) => void
}

type StateGaugesOptions = {
  readonly registry: Registry
  /** The capabilities that manifests name now. */
  readonly known: () => Iterable<Capability>
  readonly now: () => number
}

/** The gauge of the policy in force exists at once, the others from `observe` on. */
export function createStateGauges(options: StateGaugesOptions): StateGauges {
  const { registry, now } = options
  const revisionInfo = gauge(registry, 'policy_revision_info', 'Policy in force; always 1.', ['revision', 'engine'])
  let loadedAtMs: number | undefined
  return {
    policyLoaded({ revision, engine }) {
      // Keep one series only: those of past revisions would accumulate.
      revisionInfo.reset()
      revisionInfo.set({ revision, engine }, 1)
      if (loadedAtMs === undefined) {
        read(registry, 'policy_age_seconds', 'Time since the policy came into force.', () => secondsSince(loadedAtMs))
      }
      loadedAtMs = now()
    },
    observe: (state) => observe(state, options),
  }
  function secondsSince(sinceMs = now()): number {
    return (now() - sinceMs) / 1000
  }
}

function observeDisk({ auditDisk }: ControllerState, registry: Registry): void {
  const ofDisk = (name: string, help: string, value: (disk: AuditDisk) => number): void =>
    read(registry, name, help, () => {
      const disk = auditDisk()
      return disk === undefined ? NaN : value(disk)
    })
  ofDisk('audit_bytes', 'Size of all segments of the audit log, with their indexes.', ({ bytes }) => bytes)
  ofDisk('audit_oldest_record_timestamp_seconds', 'Time of the oldest audit record.', ({ oldestMs }) =>
    oldestMs === undefined ? NaN : oldestMs / 1000,
  )
  ofDisk('audit_disk_free_bytes', 'Free part of the disk of the audit log.', ({ freeBytes }) => freeBytes)
  ofDisk(
    'audit_disk_days_left',
    'Days until less than CRANK_AUDIT_MIN_FREE is free, at the rate of the last day; +Inf while the log does not grow.',
    ({ daysLeft }) => daysLeft ?? Infinity,
  )
}

function observe(state: ControllerState, { registry, known, now }: StateGaugesOptions): void {
  const workers = gauge(registry, 'registry_workers', 'Registered worker instances.', ['state'], () => {
    for (const [name, count] of Object.entries(state.workers())) workers.set({ state: name }, count)
  })
  read(registry, 'registry_capabilities', 'Capabilities with a live worker.', state.capabilities)
  const providersHelp = 'Live workers per capability that a manifest names.'
  const providers = gauge(registry, 'capability_providers', providersHelp, ['capability'], () => {
    // Series of capabilities that no manifest names any more would stay.
    providers.reset()
    for (const capability of known()) providers.set({ capability }, state.providers(capability))
  })
  read(registry, 'audit_queue_length', 'Audit records that wait for the disk.', () => state.audit().queued)
  read(registry, 'audit_oldest_seconds', 'Age of the oldest audit record that waits for the disk; 0: none.', () => {
    return state.audit().oldestMs / 1000
  })
  observeDisk(state, registry)
  read(registry, 'audit_unavailable', '1 while the audit log cannot be written.', () => (state.audit().ok ? 0 : 1))
  read(
    registry,
    'svid_expiry_seconds',
    "Time until the controller's certificate expires; negative after it has expired.",
    () => {
      return (state.svid().notAfterMs - now()) / 1000
    },
  )
  // Lifetimes range from an hour to a week: without them the remaining time cannot be judged.
  read(registry, 'svid_lifetime_seconds', "Lifetime of the controller's certificate.", () => {
    const { notBeforeMs, notAfterMs } = state.svid()
    return (notAfterMs - notBeforeMs) / 1000
  })
  read(registry, 'policy_engine_up', '1 while the policy engine answers its self-check.', () =>
    state.policyReady() ? 1 : 0,
  )
  read(registry, 'policy_last_success_timestamp_seconds', 'When the policy in force was last confirmed.', () => {
    return state.policyLastSuccessMs() / 1000
  })
  read(registry, 'policy_stale', '1 while the policy has been unconfirmed for too long.', () =>
    state.policyStale() ? 1 : 0,
  )
  const unconfirmedHelp = '1 while the policy in force is not confirmed to be the intended one, by cause.'
  const unconfirmed = gauge(registry, 'policy_unconfirmed', unconfirmedHelp, ['cause'], () => {
    for (const [cause, isNoted] of Object.entries(state.policyNotes())) unconfirmed.set({ cause }, isNoted ? 1 : 0)
  })
  const entries = gauge(registry, 'blocked_entries', 'Entries of the block lists.', ['source'], () => {
    for (const [source, count] of Object.entries(state.blocks())) entries.set({ source }, count)
  })
  const shadow = gauge(
    registry,
    'policy_shadow_entries',
    'Entries of the enforcement data in shadow mode.',
    ['kind'],
    () => {
      for (const [kind, count] of Object.entries(state.shadowEntries())) shadow.set({ kind }, count)
    },
  )
  read(registry, 'open_connections', 'Open connections on the mTLS listener.', state.openConnections)
}

function read(registry: Registry, name: string, help: string, value: () => number): void {
  const made: Gauge = gauge(registry, name, help, [], () => made.set(value()))
}

function gauge<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: L[],
  collect?: () => void,
) {
  const options = { name: `controller_${name}`, help, labelNames, registers: [registry] }
  const made = new Gauge<L>(collect === undefined ? options : { ...options, collect })
  guardCollector(made)
  return made
}
