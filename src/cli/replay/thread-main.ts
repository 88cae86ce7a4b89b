// A thread of a replay: one instance of the policy for every piece of the logs it receives.
import { serveThread } from '../../platform/thread/serve.ts'
import { createOpaWasm } from '../../policy/engine/opa-wasm.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import { createOwnKnowledge } from '../../policy/ruling.ts'
import { createPartReader, type PartReader } from './part-reader.ts'
import { codeOf } from './pieces.ts'
import { readRecorded } from './recorded.ts'
import { createRedecide, type Redecide } from './redecide.ts'
import { addDecision, createTally, type Tally } from './tally.ts'
import type { Piece, Replayed, ThreadTask } from './words.ts'

/** No caller waits for these decisions, so a late one is better than none. */
const TIMEOUT_MS = 10_000

serveThread<ThreadTask, Piece, Replayed>(async ({ wasm, files, window, memo }) => {
  const { decide } = await createOpaWasm({ files: files as PolicyFiles, wasm, timeoutMs: TIMEOUT_MS })
  const redecide = createRedecide({ decide, own: createOwnKnowledge(() => files), memo })
  const reader = createPartReader()
  // One piece at a time: two would share the engine's memory without saving time.
  let last: Promise<unknown> = Promise.resolve()
  return {
    answer: (piece) => {
      const replayed = last.then(() => replayPiece(piece, window, { redecide, reader }))
      last = replayed
      return replayed
    },
    close: () => reader.close(),
    describe: (error) => (error instanceof Error ? error.message : String(error)),
  }
})

type Tools = { readonly redecide: Redecide; readonly reader: PartReader }

async function replayPiece(piece: Piece, window: ThreadTask['window'], { redecide, reader }: Tools): Promise<Replayed> {
  let lines: string[]
  if (piece.kind === 'lines') {
    const { buffer, byteOffset, byteLength } = piece.content
    lines = Buffer.from(buffer, byteOffset, byteLength).toString('latin1').split('\n')
  } else {
    try {
      lines = await reader.read(piece.file, piece.from, piece.to)
    } catch (cause: unknown) {
      return { kind: 'unreadable', file: piece.file, code: codeOf(cause) }
    }
  }
  return { kind: 'tally', tally: await replayLines(lines, window, redecide) }
}

async function replayLines(lines: readonly string[], window: ThreadTask['window'], redecide: Redecide): Promise<Tally> {
  const tally = createTally()
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
