// The thread in which the candidate policy is evaluated: a rule of it that never ends, or takes all memory, holds up
// nobody. Follows the folder, so that an author sees the effect of a change without a restart.
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import type { PolicyEngine, PolicyInput } from '../../core/decision.ts'
import { toAppError } from '../../core/errors.ts'
import type { CandidateAnswer, CandidateBatch, CandidateNews, CandidateTask } from './candidate-words.ts'
import { loadWasm } from '../../policy/engine/compile.ts'
import { createOpaWasm } from '../../policy/engine/opa-wasm.ts'
import { loadPolicyFiles } from '../../policy/data/policy-files.ts'

type Loaded = { readonly revision: string; readonly engine: PolicyEngine }

const FOLLOW_MS = 1000
/** A decision this slow is of no use; one that never ends is ended by the controller, with this thread. */
const TIMEOUT_MS = 1000
/** 64 MiB */
const MAX_PAGES = 1024

async function main(port: MessagePort, task: CandidateTask): Promise<never> {
  const say = (news: CandidateNews): void => {
    port.postMessage(news)
  }
  let loaded: Loaded | undefined
  let tried: string | undefined
  let lastFault: string | undefined
  port.on('message', ({ inputs }: CandidateBatch) => {
    void Promise.all(inputs.map((input) => answer(loaded, input))).then((answers) => {
      say({ kind: 'answers', answers })
    })
  })
  const follow = async (): Promise<void> => {
    const files = await loadPolicyFiles(task.policyDir, Date.now())
    // One that could not be used is not tried again until it changes; a return to the one in use ends the fault.
    const isInUse = files.revision === loaded?.revision
    if (isInUse ? lastFault === undefined : files.revision === tried) return
    tried = files.revision
    const wasm = await loadWasm(files, { env: task.env })
    const engine = await createOpaWasm({ files, wasm, timeoutMs: TIMEOUT_MS, maxPages: MAX_PAGES })
    loaded = { revision: files.revision, engine }
    lastFault = undefined
    say({ kind: 'ready', revision: loaded.revision })
  }
  for (;;) {
    await follow().catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      if (reason !== lastFault) say({ kind: 'failed', reason })
      lastFault = reason
    })
    await delay(FOLLOW_MS)
  }
}

async function answer(loaded: Loaded | undefined, input: PolicyInput): Promise<CandidateAnswer> {
  if (loaded === undefined) return { decision: 'error', error: 'policy_not_ready' }
  try {
    const { decision, mode, reasons } = await loaded.engine.decide('capability_access', input)
    return { decision, mode, reasons }
  } catch (cause: unknown) {
    return { decision: 'error', error: toAppError(cause, 'policy_engine_error').code }
  }
}

if (parentPort !== null) await main(parentPort, workerData as CandidateTask)
