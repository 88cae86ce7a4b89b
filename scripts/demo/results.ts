// The three calls, and what the answer, audit log and metrics show for each.
import { text } from 'node:stream/consumers'
import { withControllerClient } from '../../src/cli/controller-client.ts'
import type { ChainedRecord } from '../../src/audit/chain.ts'
import { chainsAt, segmentsIn } from '../../src/audit/places.ts'
import { readAudits } from '../../src/audit/reader.ts'
import { verifyAudit } from '../../src/audit/verify.ts'
import type { RouteBody } from '../../src/core/wire.ts'
import type { ControllerClient, RouteAnswer } from '../../src/worker/controller-client.ts'
import { parseEvents, type RawEvent } from '../../src/worker/sse.ts'
import type { Mesh } from './mesh.ts'

type Seen = {
  readonly request: RouteBody
  readonly status: number
  readonly decisionId: string
  readonly traceId: string
  /** The decision's record in the audit log. */
  readonly record: ChainedRecord | undefined
}
export type Answered = Seen & { readonly body: unknown }
export type Streamed = Seen & { readonly events: readonly RawEvent[]; readonly firstEventMs: number | null }

export type Results = {
  readonly caller: string
  readonly allowed: Answered
  readonly denied: Answered
  readonly streamed: Streamed
  readonly audit: { readonly file: string; readonly records: number; readonly verified: boolean }
  readonly metrics: { readonly allow: number; readonly deny: number }
  readonly engine: string
}

const HELLO: RouteBody = { verb: 'invoke', capability: 'hello_world', payload: { message: 'mesh' } }
const CONVERT: RouteBody = { verb: 'convert', capability: 'document_to_pdf', payload: { document: 'a secret' } }
const STREAM: RouteBody = {
  verb: 'stream',
  capability: 'text_events',
  payload: { content: 'Every call through the controller is decided, recorded and only then made.', chunk_size: 3 },
}

/** Makes the three calls as the streaming worker and collects the results. */
export async function makeCalls(mesh: Mesh): Promise<Results> {
  return withControllerClient(mesh.caller, Date.now, async (client, caller) => {
    const recordOf = (decisionId: string) => findRecord(mesh.auditLog, decisionId)
    const allowed = await call(client, HELLO, recordOf)
    const denied = await call(client, CONVERT, recordOf)
    const streamed = await stream(client, STREAM, recordOf)
    const { ok, records } = await verifyAudit(...segmentsIn(mesh.auditLog).map(({ file }) => file))
    return {
      caller,
      allowed,
      denied,
      streamed,
      audit: { file: mesh.auditLog, records, verified: ok },
      metrics: await mesh.admin.decisions(),
      engine: await mesh.admin.engine(),
    }
  })
}

/** Whether each of the three calls had the expected result and was recorded. */
export function isGood({ allowed, denied, streamed, audit }: Results): boolean {
  const recorded = [allowed, denied, streamed].every(({ record, traceId }) => record?.['trace_id'] === traceId)
  const answered =
    allowed.status === 200 && denied.status === 403 && streamed.status === 200 && streamed.events.length > 0
  return answered && recorded && audit.verified
}

type RecordOf = (decisionId: string) => Promise<ChainedRecord | undefined>

async function call(client: ControllerClient, request: RouteBody, recordOf: RecordOf): Promise<Answered> {
  const answer = await client.route(request)
  const content = await text(answer.body)
  return { ...(await see(request, answer, recordOf)), body: parseJson(content) }
}

async function stream(client: ControllerClient, request: RouteBody, recordOf: RecordOf): Promise<Streamed> {
  const startMs = performance.now()
  const answer = await client.route(request)
  const events: RawEvent[] = []
  let firstEventMs: number | null = null
  for await (const event of parseEvents(answer.body)) {
    firstEventMs ??= Math.round(performance.now() - startMs)
    events.push(event)
  }
  return { ...(await see(request, answer, recordOf)), events, firstEventMs }
}

async function see(request: RouteBody, answer: RouteAnswer, recordOf: RecordOf): Promise<Seen> {
  const { status, decisionId = '', traceId = '' } = answer
  return { request, status, decisionId, traceId, record: await recordOf(decisionId) }
}

async function findRecord(log: string, decisionId: string): Promise<ChainedRecord | undefined> {
  for await (const { record } of readAudits(chainsAt(log))) {
    if (record.event === 'policy_decision' && record['decision_id'] === decisionId) return record
  }
  return undefined
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return content
  }
}
