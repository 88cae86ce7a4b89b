// The workers by name, as `crank worker <name>` takes it; each is loaded only when it is asked for.
import type { WorkerDefinition } from '../worker/define.ts'

const WORKERS: Readonly<Record<string, () => Promise<WorkerDefinition>>> = {
  hello_world: async () => (await import('./hello_world.ts')).createHelloWorld(),
  streaming: async () => (await import('./streaming.ts')).createStreaming(),
}

export const workerNames: readonly string[] = Object.keys(WORKERS)

/** The definition of a worker, or undefined for a name that is none. */
export async function loadWorker(name: string): Promise<WorkerDefinition | undefined> {
  return Object.hasOwn(WORKERS, name) ? WORKERS[name]?.() : undefined
}
