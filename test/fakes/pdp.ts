// A policy decision point that answers what the test says: an HTTP answer, bytes that are no HTTP, silence, a reset. A batch
// gets the answers that each of its items would get alone; what is no decision to one of them answers the whole batch.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** What the fake was asked. `body` is parsed JSON. */
export type PdpRequest = {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: { readonly input: { readonly context: { readonly decision_id: string } } & Record<string, unknown> }
  /** Numbers the connections from 1. */
  readonly connection: number
}

export type PdpAnswer =
  | {
      readonly status?: number
      readonly headers?: Record<string, string>
      readonly body: string
      readonly afterMs?: number
    }
  /** Pieces of a chunked 200 JSON answer, with a pause between them. */
  | { readonly pieces: readonly string[]; readonly everyMs: number }
  /** Bytes put on the connection as they are, which is then closed. */
  | { readonly raw: string }
  | 'hang'
  | 'reset'

/** A promise holds the answer back until it is resolved. */
export type PdpRespond = (request: PdpRequest) => PdpAnswer | Promise<PdpAnswer>

/** Makes the answer to a batch of `items` out of the truthful `results`. */
export type PdpBatchLie = (results: readonly unknown[], items: readonly PdpRequest[]) => PdpAnswer | undefined

export type FakePdp = {
  readonly origin: string
  /** Every question, those in batches too. */
  readonly requests: readonly PdpRequest[]
  /** The sizes of the batches. */
  readonly batches: readonly number[]
  /** How it answers batches from now on; undefined: truthfully. A lie that gives undefined leaves that batch alone. */
  lieInBatches(lie: PdpBatchLie | undefined): void
  /** Replaces how it answers from now on. */
  answer(next: PdpRespond): void
  close(): Promise<void>
}

/** A valid answer to the question with this decision id; `overrides` replaces members. */
export function pdpResult(decisionId: string, overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    allow: true,
    mode: 'enforce',
    grounds: ['declared'],
    reasons: [],
    exception: null,
    policy_version: '1.0.0',
    decision_id: decisionId,
    ...overrides,
  }
}

/** A valid denial, with one reason. */
export function pdpDenial(decisionId: string, code = 'capability_not_declared'): Record<string, unknown> {
  return pdpResult(decisionId, { allow: false, grounds: [], reasons: [{ code, message: 'not authorized' }] })
}

/** HTTP 200 with `{"result": …}`. */
export function pdpAnswer(result: unknown): PdpAnswer {
  return { body: JSON.stringify({ result }) }
}

/** Starts a fake on a free loopback port. */
export async function startFakePdp(answer: PdpRespond): Promise<FakePdp> {
  let current = answer
  let lie: PdpBatchLie | undefined
  const requests: PdpRequest[] = []
  const batches: number[] = []
  const connections = new Map<Socket, number>()
  const server = createServer((request, response) => {
    void (async () => {
      const connection = connections.get(request.socket) ?? 0
      const text = Buffer.concat(await request.toArray()).toString('utf8')
      const seen: PdpRequest = { path: request.url ?? '', headers: request.headers, body: JSON.parse(text), connection }
      const items = itemsOf(seen)
      requests.push(...(items ?? [seen]))
      if (items === undefined) return give(response, await current(seen))
      batches.push(items.length)
      const answers = await Promise.all(items.map(async (item) => await current(item)))
      await give(
        response,
        batchAnswer(answers, (results) => lie?.(results, items)),
      )
    })().catch(() => request.socket.destroy())
  })
  server.on('connection', (socket) => connections.set(socket, connections.size + 1))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    batches,
    lieInBatches: (next) => {
      lie = next
    },
    answer: (next) => {
      current = next
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The items of a batch as questions of their own; undefined for a single question. */
function itemsOf({ path, headers, body, connection }: PdpRequest): PdpRequest[] | undefined {
  if (!path.startsWith('/v1/data/crank/batch/decisions')) return undefined
  const { items } = body.input as unknown as { items: PdpRequest['body']['input'][] }
  return items.map((input) => ({ path: ACCESS_PATH, headers, body: { input }, connection }))
}

const ACCESS_PATH = '/v1/data/crank/capability_access/decision?provenance=true'

function batchAnswer(
  answers: readonly PdpAnswer[],
  lie: (results: readonly unknown[]) => PdpAnswer | undefined,
): PdpAnswer {
  const results = answers.map(resultOf)
  const other = answers.find((_answer, at) => results[at] === undefined)
  if (other !== undefined) return other
  const afterMs = Math.max(
    ...answers.map((answer) => (typeof answer === 'object' && 'body' in answer ? (answer.afterMs ?? 0) : 0)),
  )
  return lie(results) ?? { ...(pdpAnswer(results) as { body: string }), afterMs }
}

/** The result in a 200 with JSON, null for an undefined decision as in batch.rego; undefined for any other answer. */
function resultOf(answer: PdpAnswer): unknown {
  if (typeof answer === 'string' || !('body' in answer) || (answer.status ?? 200) !== 200) return undefined
  if (answer.headers !== undefined) return undefined
  try {
    const { result, ...rest } = JSON.parse(answer.body) as { result?: unknown }
    return Object.keys(rest).length === 0 ? (result ?? null) : undefined
  } catch {
    return undefined
  }
}

async function give(response: ServerResponse, answer: PdpAnswer): Promise<void> {
  if (answer === 'hang') return
  if (answer === 'reset') {
    response.socket?.resetAndDestroy()
  } else if ('raw' in answer) {
    response.socket?.end(answer.raw)
  } else if ('pieces' in answer) {
    response.writeHead(200, { 'content-type': 'application/json' })
    for (const piece of answer.pieces) {
      response.write(piece)
      await delay(answer.everyMs)
    }
    response.end()
  } else {
    if (answer.afterMs !== undefined) await delay(answer.afterMs)
    response.writeHead(answer.status ?? 200, answer.headers ?? { 'content-type': 'application/json' })
    response.end(answer.body)
  }
}
