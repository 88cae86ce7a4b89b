// An index thread that breaks down where it is asked for `break`, and fails everything else.
import { serveThread } from '../../../src/worker/threads.ts'
import type { ThreadReply, ThreadRequest } from '../../../src/workers/semantic_search/messages.ts'

serveThread<undefined, ThreadRequest, ThreadReply>(() => ({
  answer: ({ request }) => {
    if (request.operation !== 'search' || request.query !== 'break') throw new Error('broken')
    process.exit(3)
    // A thread may go on for a moment.
    return new Promise<never>(() => undefined)
  },
}))
