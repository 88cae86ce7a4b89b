// `crank workers` and `crank capabilities`: GET on the mTLS listener, printed.
import type { CapabilitiesReply, CapabilityEntry, WorkerEntry, WorkersReply } from '../core/wire.ts'
import { allPages } from './all-pages.ts'
import { readClientConfig } from './client-config.ts'
import { withControllerClient } from './controller-client.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import type { ClientOptions } from './options.ts'
import { paint, say, writeJson, writeTable, type Column, type Format } from './output.ts'
import { environment } from './environment.ts'

type InventoryOptions = ClientOptions & { output: Format }

const WORKER_COLUMNS: readonly Column<WorkerEntry>[] = [
  { title: 'WORKER', cell: (worker) => worker.worker_id },
  { title: 'STATE', cell: paintState },
  { title: 'IN FLIGHT', cell: (worker) => String(worker.in_flight) },
  { title: 'LAST HEARTBEAT', cell: (worker) => worker.last_heartbeat_at },
  { title: 'CAPABILITIES', cell: (worker) => worker.capabilities.map(({ capability }) => capability).join(' ') },
  { title: 'SPIFFE ID', cell: (worker) => worker.spiffe_id },
]

const CAPABILITY_COLUMNS: readonly Column<CapabilityEntry>[] = [
  { title: 'CAPABILITY', cell: (entry) => entry.capability },
  { title: 'VERSION', cell: (entry) => entry.schema.version },
  { title: 'PROVIDERS', cell: (entry) => entry.providers.map(formatProvider).join(' ') },
  { title: 'DESCRIPTION', cell: (entry) => entry.schema.description ?? '' },
]

/** Prints the registered workers. */
export async function listWorkers(options: InventoryOptions): Promise<ExitCode> {
  const workers = await getAll('/workers', options, ({ workers: page }) => page)
  if (options.output === 'json') writeJson({ workers })
  else if (workers.length === 0) say('no registered workers')
  else writeTable(WORKER_COLUMNS, workers)
  return EXIT.ok
}

/** Prints the live capabilities. */
export async function listCapabilities(options: InventoryOptions): Promise<ExitCode> {
  const capabilities = await getAll('/capabilities', options, ({ capabilities: page }) => page)
  if (options.output === 'json') writeJson({ capabilities })
  else if (capabilities.length === 0) say('no live capabilities')
  else writeTable(CAPABILITY_COLUMNS, capabilities)
  return EXIT.ok
}

/** All entries; the pages are read in sequence on one connection. */
async function getAll<Entry>(
  path: string,
  options: InventoryOptions,
  entriesOf: (page: WorkersReply & CapabilitiesReply) => readonly Entry[],
): Promise<Entry[]> {
  return withControllerClient(readClientConfig(options, environment()), Date.now, (client) =>
    allPages(async (query) => {
      const { status, body } = await client.get(path + query)
      // Each path fills its own half.
      if (status === 200) return body as WorkersReply & CapabilitiesReply
      const { error = 'the answer is not JSON', reason = '' } = (body ?? {}) as { error?: string; reason?: string }
      throw new CliError(EXIT.negative, `${status} ${error}: ${reason}`)
    }, entriesOf),
  )
}

function paintState({ state, cause }: WorkerEntry): string {
  return state === 'live' ? paint('green', state) : paint('yellow', `${state} (${cause})`)
}

function formatProvider({ worker_id, state }: CapabilityEntry['providers'][number]): string {
  return state === 'live' ? worker_id : `${worker_id} (${state})`
}
