// A thread that does what the text of its document says: to see what its pool does about it.
import { parentPort } from 'node:worker_threads'
import { text } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import type { ToPdfTask } from '../../../../src/workers/document_conversion/task.ts'
import type { ThreadMessage } from '../../../../src/workers/document_conversion/words.ts'

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
    answer({ kind: 'failed', place: 'TypeError at here' })
  },
  waits: () => undefined,
}

function answer(message: ThreadMessage): void {
  parentPort?.postMessage(message)
}

parentPort?.on('message', (task: ToPdfTask) => {
  void text(Readable.from([Buffer.from(task.bytes)])).then((deed) => {
    const doIt = DEEDS[deed]
    if (doIt === undefined) answer({ kind: 'done', result: { bytes: task.bytes, pageCount: 1, warnings: [] } })
    else doIt()
  })
})
answer({ kind: 'ready' })
