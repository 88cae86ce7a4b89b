// A store in a folder of its own, for tests: callers, a clock that is set by hand, and the files as they are.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { WorkerDefinition } from '../../../src/worker/define.ts'
import { createUlids } from '../../../src/workers/zettel/ulid.ts'
import type { StoreOptions } from '../../../src/workers/zettel/store.ts'
import { call, createTestWorker, type CallOptions } from '../../../scripts/lab/worker-calls.ts'

export const NOON = Date.UTC(2026, 10, 24, 12)
export const ANNA = 'spiffe://crank.local/worker/anna'
export const BERT = 'spiffe://crank.local/worker/bert'

type Shown = { zettel_id: string; title: string; category: string; tags: string[]; content: string; snippet: string }
type Around = { links: { target: string; zettel_ids: string[] }[]; backlinks: string[] }
/** What answers may hold; a test takes what should be there. */
export type Body = Around & {
  error: string
  message: string
  zettel_id: string
  storage_path: string
  relative_path: string
  created_at: string
  data: Around & { zettel: Shown; zettels: Shown[]; hits: Shown[]; total: number; added: boolean }
}

export type Options = Omit<StoreOptions, 'root'>
export type Bench = {
  readonly stateDir: string
  /** Time of the clock in milliseconds after NOON; it stands still. */
  elapsedMs: number
  /** Starts the worker, or starts it again. */
  start(options?: Options): Promise<void>
  /** Calls as Anna unless another is named. */
  ask(input: unknown, caller?: string, options?: CallOptions): Promise<{ status: number; body: Body; text: string }>
  logged(): Record<string, unknown>[]
  /** Paths of all files below `stateDir`, folders that are empty included. */
  tree(): Promise<string[]>
  read(path: string): Promise<string>
  /** Ends the worker, and leaves the files. */
  stop(): Promise<void>
  /** Removes the files, too. */
  close(): Promise<void>
}

/** `make`: the worker's create function. */
export async function createBench(
  make: (options: { stateDir: string } & Options) => WorkerDefinition,
  capability: string,
): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'crank-zettel-'))
  const stateDir = join(dir, 'state')
  let definition: WorkerDefinition | undefined
  let worker: Awaited<ReturnType<typeof createTestWorker>> | undefined
  const bench: Bench = {
    stateDir,
    elapsedMs: 0,
    async start(options = {}) {
      await bench.stop()
      const now = () => NOON + bench.elapsedMs
      // Fixed ids; a new start goes on with others, as time would see to it.
      const ulids = createUlids({ now, random: (size) => new Uint8Array(size).fill((starts += 1)) })
      definition = make({ stateDir, now, ulids, ...options })
      worker = await createTestWorker(definition)
    },
    async ask(input, caller = ANNA, options = {}) {
      const headers = { 'x-crank-caller': caller, ...options.headers }
      const { status, json, text } = await call(worker!, capability, input, { ...options, headers })
      return { status, body: json() as Body, text }
    },
    logged: () => worker?.logged() ?? [],
    async tree() {
      const entries = await readdir(dir, { recursive: true, withFileTypes: true })
      const paths = entries
        .filter((entry) => !entry.isDirectory())
        .map(({ parentPath, name }) => join(parentPath, name))
      return paths.map((path) => relative(stateDir, path)).sort()
    },
    read: (path) => readFile(join(stateDir, path), 'utf8'),
    async stop() {
      await definition?.close?.()
      definition = undefined
    },
    async close() {
      await bench.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
  let starts = 0
  return bench
}
