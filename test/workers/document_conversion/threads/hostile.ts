// A thread that does what the text of its document says: to see what its pool does about it.
import { serveThread } from '../../../../src/worker/threads.ts'
import type { ToPdfTask } from '../../../../src/workers/document_conversion/task.ts'
import type { ThreadReply } from '../../../../src/workers/document_conversion/words.ts'

const kept: Uint8Array[] = []

const DEEDS: Record<string, () => void> = {
  'never ends': () => {
    for (;;) Math.random()
  },
  'fills its heap': () => {
    const values: unknown[] = []
    for (;;) values.push(Array.from({ length: 1000 }, () => ({})))
  },
  'fills its buffers': () => {
    for (;;) kept.push(new Uint8Array(1024 * 1024).fill(1))
  },
  leaves: () => process.exit(1),
  'throws where nobody catches': () => {
    queueMicrotask(() => {
      throw new Error('SECRET')
    })
  },
  prints: () => {
    process.stdout.write('SECRET')
    process.stderr.write('SECRET')
    throw new TypeError('SECRET')
  },
  waits: () => undefined,
}

serveThread<undefined, ToPdfTask, ThreadReply>(() => ({
  answer: (task) => {
    const doIt = DEEDS[Buffer.from(task.bytes).toString()]
    if (doIt === undefined) return { kind: 'done', result: { bytes: task.bytes, pageCount: 1, warnings: [] } }
    doIt()
    return new Promise<never>(() => undefined)
  },
}))
