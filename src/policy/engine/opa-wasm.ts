// On the path of every call. OPA in this process: policies/policy.wasm, compiled by OPA from the Rego beside it. Runs on the
// main thread and cannot be interrupted, so an evaluation that took too long fails closed afterwards. If the machine did not
// schedule this thread for a while, the CPU time counts instead: the engine was not late.
import { loadPolicy } from '@open-policy-agent/opa-wasm'
import type { Decision, PolicyEngine, PolicyInput, Question } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { parseAnswer, wrongAnswer } from './answer.ts'
import { readWasm } from './compile.ts'
import { inputText } from './input-text.ts'
import { createEvaluate, type Evaluate } from './opa-eval.ts'
import { compileWasm, MAX_PAGES, openImage, type PolicyImage } from './opa-image.ts'
import type { PolicyFiles } from '../data/policy-files.ts'

/**
 * `wasm`: the compiled form of `files`; default: policy.wasm of the folder. `now`: a monotonic clock in ms. `cpuMs`: the CPU
 * time of this thread in ms. `maxPages`: the memory limit in pages of 64 KiB; default: 256 MiB.
 */
type OpaWasmOptions = {
  readonly files: PolicyFiles
  readonly wasm?: Uint8Array
  /** The memory of an instance that has the data of `files` already, which saves parsing them here. */
  readonly image?: PolicyImage
  readonly timeoutMs: number
  readonly maxPages?: number
  readonly now?: () => number
  readonly cpuMs?: () => number
}

/**
 * An engine that evaluates `policy.wasm`. Rejects with `policy_engine_error` (trap, abort, undefined decision, not the
 * requested decision) or `policy_engine_unavailable` (over `timeoutMs`).
 * @throws {StalePolicyError} when policy.wasm is not the compiled form of `files`.
 */
export async function createOpaWasm({
  files,
  wasm,
  image,
  timeoutMs,
  now = () => performance.now(),
  cpuMs = threadCpuMs,
  maxPages = MAX_PAGES,
}: OpaWasmOptions): Promise<PolicyEngine> {
  const module = await compileWasm(wasm ?? (await readWasm(files)))
  const load = async (): Promise<Evaluate> => {
    const loaded = await loadPolicy(module, { initial: 5, maximum: maxPages })
    // The library takes an ArrayBuffer as JSON text, unchanged; any other value would pass through JavaScript numbers.
    loaded.setData(new TextEncoder().encode(files.dataText).buffer)
    return createEvaluate(loaded)
  }
  let policy: Evaluate | undefined = await (image === undefined
    ? load()
    : createEvaluate(await openImage(module, image, maxPages)))
  const stopwatch = createStopwatch({ timeoutMs, now, cpuMs })

  return {
    name: 'opa-wasm',
    decide: async (question, input) => {
      try {
        policy ??= await load()
        const isInTime = stopwatch()
        const decision = decisionOf(policy, question, input)
        if (isInTime()) return decision
      } catch (cause: unknown) {
        if (cause instanceof AppError) throw cause
        // The library throws strings and objects; wasm itself throws traps. Afterwards its memory is in an unknown state.
        policy = undefined
        throw wrongAnswer(cause)
      }
      throw new AppError('policy_engine_unavailable', undefined, { cause: new Error(`took over ${timeoutMs} ms`) })
    },
    close: () => Promise.resolve(),
  }
}

type Clocks = { readonly timeoutMs: number; readonly now: () => number; readonly cpuMs: () => number }

/**
 * Starts a measurement and returns a function that says whether the deadline was met. Reading the CPU time costs a system
 * call, so it is read only now and then; all CPU time since the last reading counts against the evaluation.
 */
function createStopwatch({ timeoutMs, now, cpuMs }: Clocks): () => () => boolean {
  let readAtMs = -Infinity
  let usedMs = 0
  return () => {
    const startedMs = now()
    if (startedMs - readAtMs > timeoutMs / 4) {
      usedMs = cpuMs()
      readAtMs = startedMs
    }
    return () => now() - startedMs <= timeoutMs || cpuMs() - usedMs <= timeoutMs
  }
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function decisionOf(policy: Evaluate, question: Question, input: PolicyInput): Decision {
  const results = policy(inputText(input), `crank/${question}/decision`)
  if (!Array.isArray(results) || results.length > 1) throw wrongAnswer(new Error('not one result'))
  // An undefined decision is an empty list.
  const [first] = results as readonly unknown[]
  const isResult = typeof first === 'object' && first !== null && 'result' in first
  return parseAnswer(isResult ? first.result : undefined, input.context.decision_id)
}
