// A process that appends to an audit file without end and reports what became of each record:
//   node appender.ts <folder> <fsync|write> <prefix> <appenders> [bytes of a segment]
// Lines: `open`, `ok <mark>`, `refused <mark> <code>`, `health <true|false>`. SIGTERM: closes the log, then `closed`.
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { routeOutcome } from '../../../src/audit/event.ts'
import { startKeeper } from '../../../src/controller/audit-keeper/keeper.ts'
import { openAuditLog } from '../../../src/controller/audit/writer.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { NO_CREDENTIALS } from '../../fixtures/no-credentials.ts'

const [folder = '', sync = '', prefix = '', appenders = '', maxBytes = '268435456'] = process.argv.slice(2)
const requester = parseSpiffeId('spiffe://crank.local/worker/streaming')
const trace = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true }
const end = { workerId: 'w', status: 200, outcome: 'completed', error: null, durationMs: 1, attempts: 1 } as const
const say = (line: string): unknown => process.stdout.write(`${line}\n`)

const log = pino({ level: 'silent' })
let wake = (): void => undefined
const audit = await openAuditLog({
  folder,
  sync: sync === 'fsync' ? 'fsync' : 'write',
  limits: { maxBytes: Number(maxBytes), maxAgeMs: 86_400_000 },
  now: Date.now,
  log,
  onSealed: () => wake(),
  // A record that the timer refuses may yet be written: here a refused one is one that the file system would not take.
  maxWaitMs: 60_000,
})
const keeper = startKeeper({
  data: {
    folder,
    keep: { maxAgeMs: undefined, maxBytes: undefined },
    keepOfAll: { maxAgeMs: undefined, maxBytes: undefined },
    full: 'stop',
    minFree: { bytes: 1 },
    slot: 0,
    shipping: [],
    durableSeq: new SharedArrayBuffer(8),
  },
  audit,
  log,
  now: Date.now,
  credentials: NO_CREDENTIALS,
  pauseMs: 1,
})
wake = () => keeper.wake()
let healthy = true
/** What health says at this moment comes before what became of a record. */
function sayAfterHealth(line: string): void {
  if (audit.health().ok !== healthy) say(`health ${(healthy = !healthy)}`)
  say(line)
}
say('open')

let stopping = false
process.once('SIGTERM', () => {
  stopping = true
})

async function appendForever(appender: number): Promise<void> {
  for (let i = 0; !stopping; i++) {
    const mark = `${prefix}-${appender}-${i}`
    const call = { decisionId: mark, trace, requester, capability: 'stream:text_events' }
    try {
      await audit.append(routeOutcome(call, { atMs: Date.now(), ...end }))
      sayAfterHealth(`ok ${mark}`)
    } catch (cause: unknown) {
      sayAfterHealth(`refused ${mark} ${cause instanceof AppError ? cause.code : String(cause)}`)
      await delay(5)
    }
  }
}

await Promise.all(Array.from({ length: Number(appenders) }, (_, appender) => appendForever(appender)))
await keeper.close()
await audit.close()
say('closed')
