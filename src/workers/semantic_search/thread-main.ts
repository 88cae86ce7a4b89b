// Entry of the index thread: SQLite and training block, and in this thread they do not block connections.
import { serveThread } from '../../worker/threads.ts'
import { createEngine, type EngineOptions } from './engine.ts'
import { SearchFault } from './fault.ts'
import type { ThreadReply, ThreadRequest } from './messages.ts'

serveThread<EngineOptions, ThreadRequest, ThreadReply>((options) => {
  const engine = createEngine(options)
  return {
    answer: async ({ caller, request }, signal) => {
      try {
        return { kind: 'done', result: await engine.run(caller, request, signal) }
      } catch (error: unknown) {
        if (!(error instanceof SearchFault)) throw error
        const cause = error.cause instanceof Error ? error.cause.message : ''
        return { kind: 'fault', code: error.code, message: error.message, cause }
      }
    },
    close: () => engine.close(),
  }
})
