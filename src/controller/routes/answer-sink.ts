// On the path of every call. The caller's end of a streamed answer: takes
// the response over from Fastify only when the worker's answer begins.
import type { FastifyReply } from 'fastify'
import { HEADERS } from '../../core/wire.ts'
import { createGatheredWrites } from '../../platform/gathered-writes.ts'
import { CALLER_LINGER, lingerAfterAnswer } from '../../platform/tls/lingering-close.ts'
import type { AnswerSink } from '../dispatch/worker-exchange.ts'

/** Ids for the headers of every answer; `isCut` says whether the controller ended the connection. */
type AnswerFacts = { readonly decisionId: string; readonly traceId: string; readonly isCut: () => boolean }

/** Writes a worker's answer to the raw response. */
export function createAnswerSink(reply: FastifyReply, facts: AnswerFacts): AnswerSink {
  const { raw } = reply
  const gathered = createGatheredWrites(raw)
  let written = false
  return {
    start(status, headers) {
      reply.hijack()
      // The rest of an unread upload would block the next request on the connection.
      if (!reply.request.raw.complete) {
        raw.shouldKeepAlive = false
        lingerAfterAnswer(reply.request.raw, CALLER_LINGER)
      }
      headers.push(HEADERS.decisionId, facts.decisionId, HEADERS.traceId, facts.traceId)
      raw.writeHead(status, headers)
      // A body that is available already is sent with the headers; a stream that has not begun must not delay them.
      queueMicrotask(() => {
        if (!written) raw.flushHeaders()
      })
    },
    write(chunk) {
      written = true
      return gathered.write(chunk.length, () => raw.write(chunk))
    },
    end() {
      written = true
      gathered.leave()
      raw.end()
    },
    abort: () => raw.destroy(),
    goneBy: () => (facts.isCut() ? 'shutdown' : 'caller_left'),
    hasLeft: () => raw.destroyed || raw.closed,
    watch(onDrain, onLeave) {
      raw.on('drain', onDrain)
      raw.once('close', () => {
        if (!raw.writableFinished) onLeave()
      })
    },
  }
}
