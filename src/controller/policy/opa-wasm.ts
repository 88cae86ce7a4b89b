// OPA in process: policies/policy.wasm, compiled by OPA from the Rego beside it. Runs on the main thread and cannot be
// interrupted, so a late answer fails closed afterwards.
import { loadPolicy, type LoadedPolicy } from '@open-policy-agent/opa-wasm'
import type { Decision, PolicyEngine, PolicyInput, Question } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { parseAnswer, wrongAnswer } from './answer.ts'
import { readWasm } from './compile.ts'
import { inputText } from './input-text.ts'
import type { PolicyFiles } from './policy-files.ts'

/**
 * `wasm`: the compiled form of `files`; policy.wasm of the folder if left out. `now`: a monotonic clock in ms. `maxPages`:
 * most memory it may take, in pages of 64 KiB; 256 MiB by default.
 */
export type OpaWasmOptions = {
  readonly files: PolicyFiles
  readonly wasm?: Uint8Array
  readonly timeoutMs: number
  readonly maxPages?: number
  readonly now?: () => number
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

  return {
    name: 'opa-wasm',
    decide: async (question, input) => {
      const startedMs = now()
      try {
        policy ??= await load()
        const decision = evaluate(policy, question, input)
        if (now() - startedMs <= timeoutMs) return decision
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
