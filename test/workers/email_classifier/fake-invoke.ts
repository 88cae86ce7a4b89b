// An `invoke` that answers what a test tells it to, and keeps what it was called with.
import type { AnyInvoke } from '../../../src/worker/invoke.ts'
import { createEmailClassifier } from '../../../src/workers/email_classifier/worker.ts'
import { createTestWorker, type TestWorker } from '../../../scripts/lab/worker-calls.ts'

export type Invoked = { capability: string; payload: unknown }

/** A classifier whose calls of others are answered by `answer`. */
export async function createClassifier(
  answer: (call: Invoked) => unknown = () => Promise.reject(new Error('not here')),
): Promise<{ worker: TestWorker; invoked: Invoked[] }> {
  const invoked: Invoked[] = []
  const invoke = Object.assign(
    (capability: string, payload?: unknown) => {
      const call = { capability, payload }
      invoked.push(call)
      return Promise.resolve(answer(call))
    },
    {
      events: () => {
        throw new Error('not here')
      },
    },
  ) as AnyInvoke
  let clockMs = 0
  const definition = createEmailClassifier({ monotonic: () => (clockMs += 2) })
  return { worker: await createTestWorker(definition, { invokeFor: () => invoke }), invoked }
}
