// A thread that converts documents, one at a time.
import { serveThread } from '../../worker/threads.ts'
import { convert } from './convert.ts'
import { ConversionFault, type ConvertResult, type ConvertTask } from './task.ts'
import type { ThreadReply } from './words.ts'

serveThread<undefined, ConvertTask, ThreadReply>(() => {
  // No library here needs the network: an attempt to fetch fails.
  globalThis.fetch = () => Promise.reject(new Error('nothing is fetched'))
  return {
    answer: async (task) => {
      try {
        return { kind: 'done', result: await convert(task) }
      } catch (error: unknown) {
        if (!(error instanceof ConversionFault)) throw error
        return { kind: 'fault', code: error.code, message: error.message }
      }
    },
    transfer: (reply) => (reply.kind === 'done' ? buffersOf(reply.result) : []),
  }
})

function buffersOf(result: ConvertResult<ConvertTask>): ArrayBuffer[] {
  if ('bytes' in result) return [result.bytes.buffer]
  if (!('attachments' in result)) return []
  return [...new Set(result.attachments.flatMap(({ content }) => (content === undefined ? [] : [content.buffer])))]
}
