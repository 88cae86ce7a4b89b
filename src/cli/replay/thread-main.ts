// A thread of a replay: one instance of the policy for every block of lines it receives.
import { serveThread } from '../../platform/thread/serve.ts'
import { createOpaWasm } from '../../policy/engine/opa-wasm.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import { createOwnKnowledge } from '../../policy/ruling.ts'
import { readRecorded } from './recorded.ts'
import { createRedecide, type Redecide } from './redecide.ts'
import { addDecision, createTally, type Tally } from './tally.ts'
import type { Block, ThreadTask } from './words.ts'

/** No caller waits for these decisions, so a late one is better than none. */
const TIMEOUT_MS = 10_000

serveThread<ThreadTask, Block, Tally>(async ({ wasm, files, window, memo }) => {
  const { decide } = await createOpaWasm({ files: files as PolicyFiles, wasm, timeoutMs: TIMEOUT_MS })
  const redecide = createRedecide({ decide, own: createOwnKnowledge(() => files), memo })
  // One block at a time: two would share the engine's memory without saving time.
  let last: Promise<unknown> = Promise.resolve()
  return {
    answer: ({ bytes }) => {
      const tally = last.then(() => replayBlock(bytes, window, redecide))
      last = tally
      return tally
    },
    describe: (error) => (error instanceof Error ? error.message : String(error)),
  }
})

async function replayBlock(bytes: Uint8Array, window: ThreadTask['window'], redecide: Redecide): Promise<Tally> {
  const tally = createTally()
  // Records are ASCII, see audit/serialise.ts.
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1').split('\n')
  for (const text of lines) {
    if (text === '') continue
    const line = readRecorded(text, window)
    if (typeof line === 'string') {
      tally.counts[line] += 1
      continue
    }
    const now = await redecide(line)
    tally.counts[now.memoised ? 'memoised' : 'evaluated'] += 1
    addDecision(tally, line, now)
  }
  return tally
}
