// manage:sonnet_zettel stores, finds and links zettels. Each belongs to the caller who stored it.
import { join } from 'node:path'
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import { errors as storing } from '../zettel/errors.ts'
import { createZettelStore, type StoreOptions } from '../zettel/store.ts'
import { operate } from './operations.ts'
import { Input, Output } from './schemas.ts'

/** `stateDir`: absolute; the zettels are in its folder `zettel_manager`, created at first use. */
export function createZettelManager({
  stateDir,
  ...options
}: { stateDir: string } & Omit<StoreOptions, 'root'>): WorkerDefinition {
  const store = createZettelStore({ root: join(stateDir, 'zettel_manager'), ...options })
  const manage = defineCapability({
    verb: 'manage',
    name: 'sonnet_zettel',
    version: '1.0.0',
    description:
      'Stores zettels, retrieves, lists, searches and links them; a caller sees its own and what others share.',
    input: Input,
    output: Output,
    errors: {
      INVALID_INPUT: {
        description: 'The input does not fit the schema, or the query has no words.',
        retryable: false,
        status: 400,
      },
      ZETTEL_NOT_FOUND: { description: 'This caller has no such zettel.', retryable: false, status: 404 },
      ...storing,
    },
    max_concurrency: 64,
    requires_gpu: false,
    slo: { p50_ms: 25, p95_ms: 250 },
    tags: ['zettel', 'storage', 'search'],
    estimated_duration_ms: 10,
    handler: ({ input, caller, signal, log, inSpan }) =>
      operate(store.zettelsFor({ caller, signal, log, inSpan }), input),
  })
  return defineWorker({
    id: 'worker-zettel-manager',
    capabilities: [manage],
    close: () => store.close(),
  })
}
