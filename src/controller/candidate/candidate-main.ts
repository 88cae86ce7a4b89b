// The thread that evaluates the candidate policy: a rule that never ends, or uses all memory, delays no call. Follows the
// folder, so that an author sees the effect of a change without a restart.
import { setTimeout as delay } from 'node:timers/promises'
import type { PolicyEngine, PolicyInput } from '../../core/decision.ts'
import { toAppError } from '../../core/errors.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { serveThread } from '../../platform/thread/serve.ts'
import type { CandidateAnswer, CandidateBatch, CandidateNews, CandidateTask } from './candidate-words.ts'
import { loadWasm } from '../../policy/engine/compile.ts'
import { createOpaWasm } from '../../policy/engine/opa-wasm.ts'
import { loadPolicyFiles } from '../../policy/data/policy-files.ts'

type Loaded = { readonly engine: PolicyEngine }

const FOLLOW_MS = 1000
/** A slower decision is useless; when one never ends, the controller terminates this thread. */
const TIMEOUT_MS = 1000
/** 64 MiB */
const MAX_PAGES = 1024

serveThread<CandidateTask, CandidateBatch, readonly CandidateAnswer[], CandidateNews>((task, tell) => {
  let loaded: Loaded | undefined
  void follow(task, tell, (next) => (loaded = next))
  return { answer: ({ inputs }) => Promise.all(inputs.map((input) => answer(loaded, input))) }
})

/** Loads the folder, and loads it again whenever it changes; never returns. */
async function follow(task: CandidateTask, tell: (news: CandidateNews) => void, use: (loaded: Loaded) => void) {
  let inUse: string | undefined
  let tried: string | undefined
  const fault = createReportedFault()
  const look = async (): Promise<void> => {
    const files = await loadPolicyFiles(task.policyDir, Date.now())
    // A revision that could not be used is not tried again until it changes; a return to the one in use ends the fault.
    if (files.revision === inUse ? fault.current() === undefined : files.revision === tried) return
    tried = files.revision
    const wasm = await loadWasm(files, { env: task.env })
    use({ engine: await createOpaWasm({ files, wasm, timeoutMs: TIMEOUT_MS, maxPages: MAX_PAGES }) })
    inUse = files.revision
    fault.end()
    tell({ kind: 'ready', revision: inUse })
  }
  for (;;) {
    await look().catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      if (fault.isNews(reason)) tell({ kind: 'failed', reason })
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
