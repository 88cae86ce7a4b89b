// The workers by name, as `crank worker <name>` takes it; each is loaded only when it is asked for.
import type { MakeWorker } from '../worker/main.ts'

const WORKERS: Readonly<Record<string, MakeWorker>> = {
  document_conversion: async () => (await import('./document_conversion/worker.ts')).createDocumentConversion(),
  hello_world: async () => (await import('./hello_world.ts')).createHelloWorld(),
  image_classifier: async () => (await import('./image_classifier/worker.ts')).createImageClassifier(),
  streaming: async () => (await import('./streaming.ts')).createStreaming(),
}

export const workerNames: readonly string[] = Object.keys(WORKERS)

/** What makes a worker, or undefined for a name that is none. */
export function workerNamed(name: string): MakeWorker | undefined {
  return Object.hasOwn(WORKERS, name) ? WORKERS[name] : undefined
}
