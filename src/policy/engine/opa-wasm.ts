// On the path of every call. OPA in process: policies/policy.wasm, compiled by OPA from the Rego beside it. Runs on the main
// thread and cannot be interrupted, so an evaluation that took too long fails closed afterwards. Where the machine gave this
// thread no turn for a while, what counts is the CPU time: the engine has answered, and not late.
import { loadPolicy, type LoadedPolicy } from '@open-policy-agent/opa-wasm'
import type { Decision, PolicyEngine, PolicyInput, Question } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { parseAnswer, wrongAnswer } from './answer.ts'
import { readWasm } from './compile.ts'
import { inputText } from './input-text.ts'
import type { PolicyFiles } from '../data/policy-files.ts'

/**
 * `wasm`: the compiled form of `files`; policy.wasm of the folder if left out. `now`: a monotonic clock in ms. `cpuMs`: the CPU time of
 * this thread in ms. `maxPages`:
 * most memory it may take, in pages of 64 KiB; 256 MiB by default.
 */
type OpaWasmOptions = {
  readonly files: PolicyFiles
  readonly wasm?: Uint8Array
  readonly timeoutMs: number
  readonly maxPages?: number
  readonly now?: () => number
  readonly cpuMs?: () => number
}

// TypeScript has this global in its DOM library only.
declare const WebAssembly: { compile(bytes: Uint8Array): Promise<object> }

const MAX_PAGES = 4096

/**
 * An engine that evaluates `policy.wasm`. Rejects with `policy_engine_error` (trap, abort, undefined decision, not the
 * decision that was asked for) or `policy_engine_unavailable` (over `timeoutMs`).
 * @throws {StalePolicyError} when policy.wasm is not the compiled form of `files`.
 */
export async function createOpaWasm({
  files,
  wasm,
  timeoutMs,
  now = () => performance.now(),
  cpuMs = threadCpuMs,
  maxPages = MAX_PAGES,
}: OpaWasmOptions): Promise<PolicyEngine> {
  const module = await WebAssembly.compile(wasm ?? (await readWasm(files)))
  const data = utf8(files.dataText)
  const load = async (): Promise<LoadedPolicy> => {
    const loaded = await loadPolicy(module, { initial: 5, maximum: maxPages })
    loaded.setData(data)
    return loaded
  }
  let policy: LoadedPolicy | undefined = await load()
  const stopwatch = createStopwatch({ timeoutMs, now, cpuMs })

  return {
    name: 'opa-wasm',
    decide: async (question, input) => {
      try {
        policy ??= await load()
        const isInTime = stopwatch()
        const decision = evaluate(policy, question, input)
        if (isInTime()) return decision
      } catch (cause: unknown) {
        if (cause instanceof AppError) throw cause
        // The library throws strings and objects; wasm itself throws traps. Its memory is in no known state then.
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
 * Begins to measure; what it gives says whether the deadline was kept. The CPU time costs a system call: it is read now and
 * then, and what was used since it was last read is counted against the evaluation.
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

function evaluate(policy: LoadedPolicy, question: Question, input: PolicyInput): Decision {
  const results: unknown = policy.evaluate(utf8(inputText(input)), `crank/${question}/decision`)
  if (!Array.isArray(results) || results.length > 1) throw wrongAnswer(new Error('not one result'))
  // An undefined decision is an empty list.
  const [first] = results as readonly unknown[]
  const isResult = typeof first === 'object' && first !== null && 'result' in first
  return parseAnswer(isResult ? first.result : undefined, input.context.decision_id)
}

const encoder = new TextEncoder()

/** The library takes an ArrayBuffer for JSON text as it stands; anything else would go through JavaScript numbers. */
function utf8(text: string): ArrayBuffer {
  return encoder.encode(text).buffer
}
