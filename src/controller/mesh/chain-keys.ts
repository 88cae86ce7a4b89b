// The keys for x-crank-chain that all controllers of a mesh share, newest first: `{"v":1,"keys":[{"key","at"}]}`. The first
// controller makes one; later one of them adds a new key each day. A new key only verifies at first: it signs when every
// controller has known it for long. What is in use is in the file of the keys, which each process follows.
import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { misfitOf } from '../../core/misfit.ts'
import type { Logger } from '../../platform/logger.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import { viewBucket } from './bucket-view.ts'
import { isWrongSequence } from '../store/buckets.ts'
import { inUse, type StoredKey } from './key-order.ts'
import type { StoreLink, StoreSession } from '../store/store-link.ts'

/** `rotateMs`: age at which a key gets a successor. `signAfterMs`: how long every controller can only verify with a new key. */
type ChainKeyPace = { readonly rotateMs: number; readonly signAfterMs: number }

type ChainKeysOptions = {
  readonly link: Pick<StoreLink, 'join' | 'session'>
  /** Also for a start without the store. */
  readonly file: string
  /** Unix ms. */
  readonly now: () => number
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly pace?: ChainKeyPace
}

type SharedChainKeys = {
  /** Resolves when the file has the keys of the mesh; after `ms` at the latest. */
  readonly viewed: (ms: number) => Promise<void>
  readonly close: () => Promise<void>
}

/** A controller that was away from the store for less than an hour refuses no call. */
const PACE: ChainKeyPace = { rotateMs: 86_400_000, signAfterMs: 3_600_000 }
/** The newest, the one before it, which signs until then, and one whose last tokens may still be in use. */
const KEPT = 3
const KEY = 'chain'
const UNCONFIRMED = 'the store is away: chains of calls are signed with the last known keys, or an own one'
const MAX_KEYS = 7
const MAX_TICK_MS = 60_000
const StoredKeys = Type.Object({
  v: Type.Literal(1),
  keys: Type.Array(
    Type.Object({ key: Type.String({ pattern: '^[A-Za-z0-9+/=]{43,64}$' }), at: Type.Integer({ minimum: 0 }) }),
    { minItems: 1, maxItems: MAX_KEYS },
  ),
})
const validator = Compile(StoredKeys)

export function openChainKeys(options: ChainKeysOptions): SharedChainKeys {
  const { link, file, now, log, pace: { rotateMs, signAfterMs } = PACE } = options
  const first = Promise.withResolvers<true>()
  const keyFile = createKeyFile(file)
  const report = createReport(file, log)
  let keys: readonly StoredKey[] = []
  let revision = 0
  let running: Promise<void> = Promise.resolve()

  function heard(name: string, value: Uint8Array | undefined, seen: number): void {
    if (name !== KEY) return
    revision = seen
    try {
      // Deleted: the controllers go on with what they know, and the next session or rotation writes it again.
      if (value !== undefined) keys = decodeKeys(value)
      step()
    } catch (cause: unknown) {
      report.fault('the keys of the mesh for chains of calls cannot be used; those in use stay', cause)
    }
  }

  /** What is due now: the file, a successor of the newest key. */
  function step(): void {
    running = running.then(run).catch((cause: unknown) => {
      report.fault('the keys of the mesh for chains of calls cannot be kept up to date; those in use stay', cause)
    })
  }

  async function run(): Promise<void> {
    const [newest] = keys
    if (newest === undefined) return
    await keyFile.write(inUse(keys, now(), signAfterMs))
    first.resolve(true)
    const bucket = link.session()?.keys
    if (bucket !== undefined && newest.at + rotateMs <= now()) await put(bucket, withNewKey(keys, now()))
    report.end()
  }

  /** The first controller wins: the others hear of its keys. */
  async function put(bucket: StoreSession['keys'], next: readonly StoredKey[]): Promise<void> {
    try {
      await bucket.put(KEY, JSON.stringify({ v: 1, keys: next }), { previousSeq: revision })
      const message = 'this controller has written the keys for chains of calls'
      log.info({ event: 'chain_keys_shared', keys: next.length }, message)
    } catch (cause: unknown) {
      if (!isWrongSequence(cause)) throw cause
    }
  }

  link.join(async (session) => {
    revision = 0
    const view = await viewBucket({ session, bucket: session.keys, onEntry: heard })
    if (!view.isWhole) throw new Error('the keys of the mesh did not come in time')
    if (!view.present.has(KEY)) await put(session.keys, keys.length === 0 ? withNewKey([], now()) : keys)
    return view
  })
  const timer = setInterval(step, Math.min(MAX_TICK_MS, signAfterMs / 4)).unref()
  return {
    async viewed(ms) {
      if ((await within(ms, first.promise, { ref: true })) === true) return
      log.warn({ event: 'chain_keys_unconfirmed', file }, UNCONFIRMED)
    },
    async close() {
      clearInterval(timer)
      await running
    },
  }
}

/** The keys with a new one: the very first, or a successor of the newest. */
function withNewKey(keys: readonly StoredKey[], at: number): readonly StoredKey[] {
  return [{ key: randomBytes(32).toString('base64'), at }, ...keys].slice(0, KEPT)
}

function createReport(file: string, log: ChainKeysOptions['log']) {
  const reported = createReportedFault()
  return {
    fault(message: string, cause: unknown): void {
      const reason = cause instanceof Error ? cause.message : String(cause)
      // The message has the random name of the draft.
      const kind = (cause as NodeJS.ErrnoException).code ?? reason
      if (reported.isNews(kind)) log.error({ event: 'chain_keys_unshared', file, reason }, message)
    },
    end: reported.end,
  }
}

function createKeyFile(file: string) {
  let written = ''
  /** What this controller signed with before it knew the keys of the mesh: calls in flight have its tokens. */
  let own: readonly string[] | undefined
  return {
    async write(lines: readonly string[]): Promise<void> {
      own ??= await signingKeyIn(file)
      const text = [...lines, ...own.filter((key) => !lines.includes(key))].join('\n')
      if (text === written) return
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await replaceFile(file, `${text}\n`, 0o600)
      written = text
    },
  }
}

function decodeKeys(value: Uint8Array): readonly StoredKey[] {
  const stored: unknown = JSON.parse(Buffer.from(value).toString())
  if (validator.Check(stored)) return stored.keys
  throw new Error(misfitOf(validator, stored))
}

async function signingKeyIn(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, 1)
}
