// The workers by name, as `crank worker <name>` takes it; each is loaded only when it is asked for.
import type { MakeWorker } from '../worker/main.ts'

const WORKERS: Readonly<Record<string, MakeWorker>> = {
  hello_world: async () => (await import('./hello_world.ts')).createHelloWorld(),
  streaming: async () => (await import('./streaming.ts')).createStreaming(),
}

export const workerNames: readonly string[] = Object.keys(WORKERS)

/** What makes a worker, or undefined for a name that is none. */
export function workerNamed(name: string): MakeWorker | undefined {
  return Object.hasOwn(WORKERS, name) ? WORKERS[name] : undefined
}
