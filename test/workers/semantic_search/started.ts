// The worker as the runtime calls it, with its thread.
import { onTestFinished } from 'vitest'
import { createIndexThread } from '../../../src/workers/semantic_search/index-thread.ts'
import { createSemanticSearch } from '../../../src/workers/semantic_search/worker.ts'
import { call, createTestWorker } from '../../../scripts/lab/worker-calls.ts'
import { ALICE } from './names.ts'

export const CAPABILITY = 'search:semantic_documents'

/** Closed when the test is over. */
export async function startWorker(dir: string, engine = createIndexThread({ dir })) {
  const definition = createSemanticSearch({ dir, engine })
  onTestFinished(() => definition.close?.())
  const worker = await createTestWorker(definition)
  const ask = async (input: unknown, caller = ALICE) => {
    const { status, json } = await call(worker, CAPABILITY, input, { headers: { 'x-crank-caller': caller } })
    return { status, body: json() as Record<string, unknown> }
  }
  return { worker, ask }
}
