// A fake worker's handler that notes every execution when its first byte arrives, and how much of an answer it gave.
import type { IncomingMessage } from 'node:http'
import { HEADERS } from '../../src/core/wire.ts'
import type { Execute } from '../fakes/worker.ts'
import type { Execution } from './history.ts'

type Arrived = Pick<IncomingMessage, 'headers'>

export function executionOf({ headers }: Arrived, workerId: string, auditSizes: Record<string, number>): Execution {
  const header = (name: string): string | null => (headers[name] as string | undefined) ?? null
  return {
    id: '',
    workerId,
    caller: header(HEADERS.caller) ?? '',
    capability: header(HEADERS.capability) ?? '',
    key: header('idempotency-key'),
    decisionId: header(HEADERS.crankDecisionId) ?? '',
    atMs: Date.now(),
    auditSizes,
    answered: 'none',
  }
}

/** Notes first, then reads the body, then executes. */
export function noting(note: (arrived: Arrived) => Execution, execute: Execute): Execute {
  return (request, response) => {
    const execution = note(request)
    const { socket } = request
    const before = socket.bytesWritten
    response.once('finish', () => (execution.answered = 'whole'))
    response.once('close', () => {
      if (execution.answered === 'none' && socket.bytesWritten > before) execution.answered = 'part'
    })
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('error', () => undefined)
    request.on('end', () => {
      execute(request, response, body)
    })
  }
}
