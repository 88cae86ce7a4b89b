// Entry of the index thread: SQLite and the learning of models block, and here they block nobody's connections.
import { parentPort, workerData } from 'node:worker_threads'
import { createEngine, type EngineOptions } from './engine.ts'
import { SearchFault } from './fault.ts'
import type { FromThread, ToThread } from './messages.ts'

const engine = createEngine(workerData as EngineOptions)
const calls = new Map<number, AbortController>()

parentPort?.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'run':
      void run(message).then((answer) => parentPort?.postMessage(answer))
      return
    case 'cancel':
      calls.get(message.id)?.abort()
      return
    case 'close':
      void engine.close().finally(() => parentPort?.close())
      return
    default:
      message satisfies never
  }
})

async function run({ id, caller, request }: Extract<ToThread, { kind: 'run' }>): Promise<FromThread> {
  const cancelled = new AbortController()
  calls.set(id, cancelled)
  try {
    return { kind: 'done', id, result: await engine.run(caller, request, cancelled.signal) }
  } catch (error: unknown) {
    if (cancelled.signal.aborted) return { kind: 'cancelled', id }
    if (!(error instanceof SearchFault)) return { kind: 'failed', id, message: String(error) }
    return {
      kind: 'fault',
      id,
      code: error.code,
      message: error.message,
      cause: error.cause instanceof Error ? error.cause.message : '',
    }
  } finally {
    calls.delete(id)
  }
}
