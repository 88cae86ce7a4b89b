// The workers by name, as `crank worker <name>` takes it; each is loaded only on request.
import { join } from 'node:path'
import type { MakeWorker } from '../worker/main.ts'

const WORKERS: Readonly<Record<string, MakeWorker>> = {
  document_conversion: async () => (await import('./document_conversion/worker.ts')).createDocumentConversion(),
  email_classifier: async () => (await import('./email_classifier/worker.ts')).createEmailClassifier(),
  hello_world: async () => (await import('./hello_world.ts')).createHelloWorld(),
  image_classifier: async () => (await import('./image_classifier/worker.ts')).createImageClassifier(),
  philosophical_analyzer: async ({ stateDir }) =>
    (await import('./philosophical_analyzer/worker.ts')).createPhilosophicalAnalyzer({
      dir: join(stateDir, 'philosophical_analyzer'),
    }),
  semantic_search: async ({ stateDir }) =>
    (await import('./semantic_search/worker.ts')).createSemanticSearch({ dir: join(stateDir, 'semantic_search') }),
  streaming: async () => (await import('./streaming.ts')).createStreaming(),
  zettel_manager: async ({ stateDir }) =>
    (await import('./zettel_manager/worker.ts')).createZettelManager({ stateDir }),
  zettel_repository: async ({ stateDir }) =>
    (await import('./zettel_repository/worker.ts')).createZettelRepository({ stateDir }),
}

export const workerNames: readonly string[] = Object.keys(WORKERS)

/** The function that creates a worker, or undefined for an unknown name. */
export function workerNamed(name: string): MakeWorker | undefined {
  return Object.hasOwn(WORKERS, name) ? WORKERS[name] : undefined
}
