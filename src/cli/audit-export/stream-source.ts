// The audit records of all controllers of a mesh, read from their stream in NATS. Only reads: it makes no consumer.
import { setTimeout as delay } from 'node:timers/promises'
import { jetstreamManager, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { AUDIT_STREAM, AUDIT_SUBJECTS, AUDITOR_INBOX, chainOfSubject } from '../../audit/audit-stream.ts'
import type { Fault } from '../../audit/chain-check.ts'
import { ChainOfStream } from '../../audit/chain-of-stream.ts'
import type { AuditRecord } from '../../audit/reader.ts'
import { connectNats } from '../../platform/nats/connect-nats.ts'
import { natsFault } from '../../platform/nats/nats-fault.ts'
import { CliError, EXIT } from '../exit.ts'
import type { NatsClient } from '../nats-config.ts'

/** `slot`: the name of its chain, which is unique in the mesh. */
type StreamRecord = AuditRecord & { readonly slot: string }

type StreamSource = {
  /** The records of each chain. Throws {CliError}. */
  readonly chains: readonly AsyncGenerator<StreamRecord, void>[]
  /** What was wrong with those that were read to their end; `file` is the name of the chain, `line` the number of the message. */
  readonly faults: () => readonly Fault[]
  readonly close: () => Promise<void>
}

const ANSWER_MS = 5000
const BATCH = 256
/** Clocks of controllers and of NATS servers may differ by so much; a record is stored after it was written. */
const SKEW_MS = 3_600_000
/** A server that answers may lag behind the leader for a moment. */
const LAG_LOOKS = 20
const LAG_MS = 250

/** @param sinceMs older records need not be read. @throws {CliError} when the stream cannot be read */
export async function openStreamSource(client: NatsClient, sinceMs: number | undefined): Promise<StreamSource> {
  const nc = await connect(client)
  try {
    const manager = await jetstreamManager(nc, { checkAPI: false, timeout: ANSWER_MS })
    const info = await manager.streams.info(AUDIT_STREAM, { subjects_filter: AUDIT_SUBJECTS })
    // A batch that is not permitted is never answered; this says why.
    await manager.direct.getMessage(AUDIT_STREAM, { seq: Math.max(1, info.state.first_seq) })
    const faults: Fault[] = []
    const chains = Object.entries(info.state.subjects ?? {}).map(([subject, count]) =>
      recordsOf({ manager, info, subject, count, sinceMs, faults }),
    )
    return { chains, faults: () => faults, close: () => nc.close() }
  } catch (cause: unknown) {
    await nc.close()
    throw failure(cause)
  }
}

function connect({ target, credentials }: NatsClient): Promise<NatsConnection> {
  const source = { current: () => credentials ?? noCredentials() }
  const name = credentials?.spiffeId ?? 'crank audit export'
  return connectNats({ target, source, name, inboxPrefix: AUDITOR_INBOX }).catch((cause: unknown) => {
    throw failure(cause, ` at ${target.servers.join(', ')}`)
  })
}

function noCredentials(): never {
  throw new Error('the connection is plain text')
}

type Reading = {
  readonly manager: JetStreamManager
  readonly info: StreamInfo
  readonly subject: string
  /** How many messages the subject has. */
  readonly count: number
  readonly sinceMs: number | undefined
  readonly faults: Fault[]
}

async function* recordsOf(reading: Reading): AsyncGenerator<StreamRecord, void> {
  const { info, subject, sinceMs, faults } = reading
  const name = chainOfSubject(subject) ?? subject
  const mayBeginLate = sinceMs !== undefined || info.config.max_age > 0
  const chain = new ChainOfStream({ name, mayBeginLate })
  try {
    for await (const { seq, text } of messagesOf(reading)) {
      const record = chain.take(seq, text)
      if (record === undefined || (sinceMs !== undefined && Date.parse(record.timestamp) < sinceMs)) continue
      yield { line: seq, text, record, slot: name }
    }
    faults.push(...chain.end().faults)
  } catch (cause: unknown) {
    throw failure(cause)
  }
}

type Message = { readonly seq: number; readonly text: string }

/** Those that the stream had when it was asked, in their order. */
async function* messagesOf({ manager, info, subject, count, sinceMs }: Reading): AsyncGenerator<Message, void> {
  let from: { seq: number } | { start_time: Date } =
    sinceMs === undefined ? { seq: 1 } : { start_time: new Date(sinceMs - SKEW_MS) }
  let read = 0
  for (let looks = 0; looks < LAG_LOOKS;) {
    const messages = await batch(manager, { ...from, next_by_subj: subject, batch: BATCH })
    for (const message of messages) {
      if (message.seq > info.state.last_seq) return
      yield message
      from = { seq: message.seq + 1 }
      read += 1
    }
    if (read >= count) return
    if (messages.length > 0) continue
    if (sinceMs !== undefined) return
    looks += 1
    await delay(LAG_MS)
  }
  throw new Error(`the stream has ${count} messages of ${subject}, but gives ${read}; a NATS server lags behind`)
}

async function batch(
  manager: JetStreamManager,
  options: Parameters<JetStreamManager['direct']['getBatch']>[1],
): Promise<Message[]> {
  const messages: Message[] = []
  try {
    for await (const message of await manager.direct.getBatch(AUDIT_STREAM, options))
      messages.push({ seq: message.seq, text: message.string() })
  } catch (cause: unknown) {
    // There are no more.
    if (!(cause instanceof Error && 'code' in cause && cause.code === NOT_FOUND)) throw cause
  }
  return messages
}

const NOT_FOUND = 404

function failure(cause: unknown, where = ''): unknown {
  if (cause instanceof CliError) return cause
  const hint = 'the first controller with CRANK_AUDIT_STREAM=on makes the stream'
  const text = natsFault(cause)
  const isMissing = /stream not found/i.test(text)
  return new CliError(EXIT.unreachable, `cannot read the stream ${AUDIT_STREAM}${where}: ${text}`, {
    cause,
    ...(isMissing && { hint }),
  })
}
