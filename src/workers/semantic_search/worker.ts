// search:semantic_documents finds documents by words and by meaning, and explains each hit. Each caller has its own
// documents.
import { capabilityError } from '../../worker/call-error.ts'
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import type { Engine } from './engine.ts'
import { SearchFault } from './fault.ts'
import { createIndexThread } from './index-thread.ts'
import { errors, Input, Output } from './schemas.ts'

const SPANS = { index: 'documents.index', search: 'documents.search', delete: 'documents.delete' } as const

/** `dir`: folder of the documents, one file per caller; created for the first document. */
export function createSemanticSearch({
  dir,
  engine = createIndexThread({ dir }),
}: {
  dir: string
  engine?: Engine
}): WorkerDefinition {
  const semanticDocuments = defineCapability({
    verb: 'search',
    name: 'semantic_documents',
    version: '1.0.0',
    description:
      'Keeps documents and finds them by words and by meaning, with the reason for each hit; a caller sees only its own documents.',
    input: Input,
    output: Output,
    errors,
    max_concurrency: 32,
    requires_gpu: false,
    slo: { p95_ms: 2_000 },
    tags: ['search', 'documents', 'semantic'],
    estimated_duration_ms: 20,
    handler: async ({ input, caller, signal, inSpan }) => {
      try {
        return await inSpan(SPANS[input.operation], () => engine.run(caller, input, signal))
      } catch (error: unknown) {
        if (error instanceof SearchFault) throw capabilityError(error.code, error.message, { cause: error.cause })
        throw error
      }
    },
  })
  return defineWorker({
    id: 'worker-semantic-search',
    capabilities: [semanticDocuments],
    close: () => engine.close(),
  })
}
