// The stream of a mesh, as the shipping of a slot uses it: opened or made, asked for the last record of a chain, and written.
import { randomUUID } from 'node:crypto'
import { jetstreamManager, JetStreamApiError, type StreamConfig, type StreamInfo } from '@nats-io/jetstream'
import { headers, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import { AUDIT_STREAM, AUDIT_SUBJECTS, HOST_HEADER, SLOT_HEADER, subjectOf } from '../../audit/audit-stream.ts'
import { openRecord, type ChainedRecord, type Head } from '../../audit/chain.ts'
import { StreamRefusal, withCureForReplicas } from '../../platform/nats/nats-fault.ts'

/** Who writes, for people who look into the stream. */
type StreamWriter = { readonly host: string; readonly slot: number }

type StoredRecord = { readonly text: string; readonly record: ChainedRecord }

/** The last message of a chain. `streamSeq`: its number in the stream. */
export type LastStored = { readonly head: Head; readonly streamSeq: number }

export type AuditStreamStore = {
  /** When the stream was made: another time means another stream. */
  readonly created: string
  /** Undefined: it has none of this chain. */
  readonly lastOf: (chain: string) => Promise<LastStored | undefined>
  /**
   * Stores all of them in this order, or none of them.
   * @param afterSeq the number of the last message of the chain; 0: there is none
   * @returns that of the new last one. @throws {StreamRefusal} the stream does not take them. @throws {Error} it is not known whether it has them
   */
  readonly append: (chain: string, records: readonly StoredRecord[], afterSeq: number) => Promise<number>
}

const ANSWER_MS = 5000
const STREAM_NOT_FOUND = 10_059
const WRONG_LAST_SEQUENCE = 10_071
const DUPLICATE = 10_201
const MIN_SERVER = 'NATS server 2.12 or newer is needed'

/** Whether the stream has other records of the chain than the writer knew: `lastOf` says which. */
export function isOutOfStep(cause: unknown): boolean {
  return cause instanceof StreamRefusal && (cause.code === WRONG_LAST_SEQUENCE || cause.code === DUPLICATE)
}

/** @throws {Error} when the stream cannot be used now, or not as it is configured */
export async function openAuditStream(
  nc: NatsConnection,
  { replicas, writer }: { readonly replicas: number; readonly writer: StreamWriter },
): Promise<AuditStreamStore> {
  const manager = await jetstreamManager(nc, { checkAPI: false, timeout: ANSWER_MS })
  const { config, created } = await infoOrMake(manager.streams, replicas)
  checkUsable(config)
  return {
    created,
    async lastOf(chain) {
      const message = await manager.direct.getMessage(AUDIT_STREAM, { last_by_subj: subjectOf(chain) })
      if (message === null) return undefined
      const record = openRecord(message.string())
      if (typeof record === 'string') {
        throw new Error(`message ${message.seq} of the stream ${AUDIT_STREAM} is no audit record: who wrote it?`)
      }
      return { head: { seq: record.seq, hash: record.hash }, streamSeq: message.seq }
    },
    append: (chain, records, afterSeq) => append(nc, { chain, records, afterSeq, writer }),
  }
}

type Streams = Awaited<ReturnType<typeof jetstreamManager>>['streams']

/** An operator may have made it, with limits; it is never changed. */
async function infoOrMake(streams: Streams, replicas: number): Promise<StreamInfo> {
  const find = (): Promise<StreamInfo> => streams.info(AUDIT_STREAM)
  try {
    return await find()
  } catch (cause: unknown) {
    if (!(cause instanceof JetStreamApiError) || cause.code !== STREAM_NOT_FOUND) throw cause
  }
  try {
    return await streams.add({
      name: AUDIT_STREAM,
      description: 'audit records of the Crank controllers of this mesh',
      subjects: [AUDIT_SUBJECTS],
      num_replicas: replicas,
      // Full means: nothing more is taken, and the controllers keep what they have.
      discard: 'new',
      deny_delete: true,
      deny_purge: true,
      ...NEEDED,
    })
  } catch (cause: unknown) {
    // Another controller may have made it at the same moment.
    const made = await find().catch(() => undefined)
    if (made !== undefined) return made
    throw withCureForReplicas(cause, replicas)
  }
}

/** `allow_atomic`: a batch is stored as a whole. `allow_direct`: a chain's last record is readable without the right to read all. */
const NEEDED = { retention: 'limits', storage: 'file', allow_atomic: true, allow_direct: true } as const

function checkUsable(config: StreamConfig): void {
  const wrong = Object.entries(NEEDED).filter(([name, value]) => config[name as keyof typeof NEEDED] !== value)
  if (wrong.length > 0) {
    const needed = wrong.map(([name, value]) => `${name}=${value}`).join(', ')
    throw new Error(`the stream ${AUDIT_STREAM} needs ${needed}: edit it, or make another; ${MIN_SERVER}`)
  }
  if (config.subjects.includes(AUDIT_SUBJECTS)) return
  throw new Error(`the stream ${AUDIT_STREAM} does not take ${AUDIT_SUBJECTS}: add that subject to it`)
}

type Appended = {
  readonly chain: string
  readonly records: readonly StoredRecord[]
  readonly afterSeq: number
  readonly writer: StreamWriter
}

/** An atomic batch (NATS ADR-50): the server checks sequence and ids for all of it before it stores any. */
async function append(nc: NatsConnection, { chain, records, afterSeq, writer }: Appended): Promise<number> {
  const batch = randomUUID()
  const subject = subjectOf(chain)
  const answers: Promise<number | undefined>[] = []
  for (const [at, { text, record }] of records.entries()) {
    const isLast = at === records.length - 1
    const header = headersOf(record.seq, { chain, writer })
    header.set('Nats-Batch-Id', batch)
    header.set('Nats-Batch-Sequence', String(at + 1))
    if (at === 0) header.set('Nats-Expected-Last-Subject-Sequence', String(afterSeq))
    if (isLast) header.set('Nats-Batch-Commit', '1')
    // The first is answered too: with the fault of a batch that cannot begin.
    if (at > 0 && !isLast) nc.publish(subject, text, { headers: header })
    else answers.push(nc.request(subject, text, { headers: header, timeout: ANSWER_MS }).then(sequenceIn))
  }
  const stored = (await Promise.all(answers)).at(-1)
  if (stored === undefined) throw new Error(`the stream ${AUDIT_STREAM} does not say what it has stored: ${MIN_SERVER}`)
  return stored
}

function headersOf(seq: number, { chain, writer }: Pick<Appended, 'chain' | 'writer'>): MsgHdrs {
  const header = headers()
  header.set('Nats-Msg-Id', `${chain}.${seq}`)
  header.set(HOST_HEADER, writer.host)
  header.set(SLOT_HEADER, String(writer.slot))
  return header
}

/** What an acknowledgement says; undefined for the empty answer to the beginning of a batch. @throws {StreamRefusal} */
function sequenceIn(message: Msg): number | undefined {
  if (message.data.length === 0) return undefined
  const { error, seq } = message.json<{ seq?: number; error?: { err_code?: number; description?: string } }>()
  if (error !== undefined) throw new StreamRefusal(error.err_code ?? 0, error.description ?? 'refused')
  return seq
}
