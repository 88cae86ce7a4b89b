// Calls of a worker without a network: with the headers that the controller sends; the answer is read completely.
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { createLogger } from '../../src/platform/logger.ts'
import { createTracing } from '../../src/platform/tracing/tracing.ts'
import type { WorkerDefinition } from '../../src/worker/define.ts'
import { createExecute, type Execute, type ExecuteOptions } from '../../src/worker/execute.ts'
import type { AnyInvoke } from '../../src/worker/invoke.ts'
import { createSlots, type Slots } from '../../src/worker/slots.ts'

export const DECISION_ID = '01890a5d-ac96-774b-bcce-b302099a8057'
export const CALLER = 'spiffe://crank.local/worker/streaming'

export type TestWorker = {
  execute: Execute
  slots: Slots
  stop: () => void
  /** Everything that was logged, one object per line. */
  logged: () => Record<string, unknown>[]
}

export async function createTestWorker(
  definition: WorkerDefinition,
  options: Partial<ExecuteOptions> = {},
): Promise<TestWorker> {
  const lines: string[] = []
  const log = createLogger({ level: 'debug', service: 'test', destination: { write: (line) => void lines.push(line) } })
  const tracing = await createTracing({ service: 'test', version: '1', env: {}, log })
  const slots = createSlots()
  const stopped = new AbortController()
  const execute = createExecute({
    definition,
    workerId: definition.id,
    log,
    tracing,
    slots,
    invokeFor: () => noInvoke,
    stopped: stopped.signal,
    ...options,
  })
  const logged = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  return { execute, slots, stop: () => stopped.abort(), logged }
}

const noInvoke = Object.assign(() => Promise.reject(new Error('not here')), {
  events: () => {
    throw new Error('not here')
  },
}) as unknown as AnyInvoke

export function callHeaders(capability: string, more: Record<string, string> = {}): Record<string, string> {
  return {
    'x-crank-capability': capability,
    'x-crank-caller': CALLER,
    'x-crank-decision-id': DECISION_ID,
    'content-type': 'application/json',
    ...more,
  }
}

export type CallOptions = { headers?: Record<string, string>; callerLeft?: AbortSignal }

/** Starts a call with a JSON payload. */
export function start(worker: TestWorker, capability: string, payload: unknown, options: CallOptions = {}) {
  return worker.execute({
    headers: callHeaders(capability, options.headers),
    body: Readable.from([Buffer.from(JSON.stringify(payload))]),
    callerLeft: options.callerLeft ?? new AbortController().signal,
  })
}

/** Calls with a JSON payload and reads the whole answer. */
export async function call(worker: TestWorker, capability: string, payload: unknown, options: CallOptions = {}) {
  const { status, headers, body } = await start(worker, capability, payload, options)
  const content = body instanceof Readable ? await text(body) : body.toString()
  return { status, headers, text: content, json: () => JSON.parse(content) as unknown }
}
