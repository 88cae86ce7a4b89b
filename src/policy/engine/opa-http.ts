// On the path of every call. The OPA sidecar: POST /v1/data/crank/<question>/decision?provenance=true for one question, or
// one POST for several calls (question-line.ts). One deadline per question covers waiting, connecting, asking and reading.
import type { AskedTrace, Decision, PolicyEngine, PolicyInput } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { OpenQuestion } from './open-question.ts'
import { createOpaPoster, unavailable } from './opa-post.ts'
import type { OpaTarget } from './opa-target.ts'
import { createQuestionLine, pathOf, type OpaTraffic } from './question-line.ts'

/** `now`: a monotonic clock in ms. */
type OpaHttpOptions = { readonly target: OpaTarget; readonly timeoutMs: number; readonly now?: () => number }

type OpaHttp = PolicyEngine & {
  readonly decideTogether: NonNullable<PolicyEngine['decideTogether']>
  readonly traffic: () => OpaTraffic
}

// Beyond this limit a question would only wait for its deadline. It is refused at once: a hanging OPA cannot fill memory.
const MAX_IN_FLIGHT = 1024
// In the trace of such a call OPA's span is below policy.evaluate. Tracing many calls must not undo the batches.
const MAX_TRACED_ALONE = 8

/**
 * An engine that asks an OPA server. Rejects with `policy_engine_unavailable` (no answer within `timeoutMs`, connection
 * refused or broken) or `policy_engine_error` (not HTTP 200, not JSON, over 64 KiB, not the requested decision).
 */
export function createOpaHttp({ target, timeoutMs, now = () => performance.now() }: OpaHttpOptions): OpaHttp {
  const poster = createOpaPoster(target)
  const line = createQuestionLine(poster)
  let inFlight = 0
  let tracedAlone = 0

  const open = (
    input: PolicyInput,
    trace: AskedTrace | null | undefined,
    send: (question: OpenQuestion) => void,
  ): Promise<Decision> =>
    new Promise((resolve, reject) => {
      if (inFlight >= MAX_IN_FLIGHT) throw unavailable(new Error('too many decisions are waiting'))
      inFlight += 1
      const settle = (outcome: Decision | AppError): void => {
        inFlight -= 1
        if (outcome instanceof AppError) reject(outcome)
        else resolve(outcome)
      }
      send(new OpenQuestion({ input, trace, timeoutMs, now, settle }))
    })

  const askTraced = (question: OpenQuestion): void => {
    tracedAlone += 1
    line.askAlone(pathOf('crank/capability_access/decision'), question, () => (tracedAlone -= 1))
  }

  return {
    name: 'opa-http',
    decide: (question, input, trace) =>
      open(input, trace, (asked) => {
        // The controller's own questions, too, go the plain way: the self-check is about it as well.
        const isCall = question === 'capability_access' && trace !== undefined
        if (!isCall) line.askAlone(pathOf(`crank/${question}/decision`), asked)
        else if (trace?.recorded !== undefined && tracedAlone < MAX_TRACED_ALONE) askTraced(asked)
        else line.ask(asked)
      }),
    decideTogether(inputs) {
      const questions: OpenQuestion[] = []
      const decisions = inputs.map((input) => open(input, undefined, (asked) => questions.push(asked)))
      line.askTogether(questions)
      return Promise.all(decisions)
    },
    traffic: line.traffic,
    close: poster.close,
  }
}
