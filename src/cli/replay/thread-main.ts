// A thread of a replay: one instance of the policy, used for every block of lines that it is given.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { createOpaWasm } from '../../policy/engine/opa-wasm.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import { createOwnKnowledge } from '../../policy/ruling.ts'
import { readRecorded } from './recorded.ts'
import { createRedecide, type Redecide } from './redecide.ts'
import { addDecision, createTally, type Tally } from './tally.ts'
import type { BlockMessage, TallyMessage, ThreadTask } from './words.ts'

/** Nobody waits for one of these decisions: late is better than none. */
const TIMEOUT_MS = 10_000

async function main(port: MessagePort, { wasm, files, window, memo }: ThreadTask): Promise<void> {
  // Blocks may come before the engine is there.
  const engine = createOpaWasm({ files: files as PolicyFiles, wasm, timeoutMs: TIMEOUT_MS })
  const redecide = engine.then(({ decide }) => createRedecide({ decide, own: createOwnKnowledge(() => files), memo }))
  let last: Promise<void> = Promise.resolve()
  port.on('message', ({ id, bytes }: BlockMessage) => {
    last = last.then(async () => {
      const tally = await replayBlock(bytes, window, await redecide)
      port.postMessage({ id, tally } satisfies TallyMessage)
    })
  })
  await redecide
}

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

if (parentPort !== null) await main(parentPort, workerData as ThreadTask)
