// One export request to the collector (OTLP/HTTP, JSON), and what its answer means for the records in it.
import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { Client, type Dispatcher } from 'undici'
import type { ShippingTarget } from './target.ts'

/**
 * `accepted`: the collector has them, except `rejected` ones, which it will never take. `refused`: it will not take this request
 * as it is. `failed`: later, perhaps.
 */
export type Answer =
  | { readonly kind: 'accepted'; readonly rejected: number; readonly message: string }
  | { readonly kind: 'refused'; readonly error: string }
  | { readonly kind: 'failed'; readonly error: string; readonly retryAfterMs: number }

export type Collector = {
  /** Never rejects. */
  readonly post: (body: string, signal: AbortSignal) => Promise<Answer>
  readonly close: () => Promise<void>
}

// 413: too large as a whole. The others: something in it is not accepted.
const REFUSALS = new Set([400, 413, 422])
const KEEP_ALIVE_MS = 4000
const GZIP_LEVEL = 3
const MAX_ANSWER_BYTES = 64 * 1024
const MAX_ERROR = 200
const MAX_RETRY_AFTER_MS = 600_000

/** Runs in the background thread: compresses on the thread that it is called on. */
export function createCollector(target: ShippingTarget, now: () => number): Collector {
  let client: Client | undefined
  const forget = async (): Promise<void> => {
    const old = client
    client = undefined
    await old?.destroy()
  }
  return {
    async post(body, signal) {
      try {
        client ??= await connect(target)
        const until = AbortSignal.any([signal, AbortSignal.timeout(target.timeoutMs)])
        const response = await client.request(requestOf(target, body, until))
        return answerOf(response, await textOf(response.body), now())
      } catch (cause: unknown) {
        // A new connection reads the certificates again.
        await forget()
        return failed(describe(cause))
      }
    },
    close: forget,
  }
}

async function connect({ endpoint, caFile, certFile, keyFile }: ShippingTarget): Promise<Client> {
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map(readOptional))
  const tls = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }
  return new Client(new URL(endpoint).origin, { connect: tls, keepAliveTimeout: KEEP_ALIVE_MS, pipelining: 1 })
}

async function readOptional(file: string | undefined): Promise<Buffer | undefined> {
  return file === undefined ? undefined : await readFile(file)
}

function requestOf(
  { endpoint, headers, gzip }: ShippingTarget,
  body: string,
  signal: AbortSignal,
): Dispatcher.RequestOptions {
  const url = new URL(endpoint)
  return {
    method: 'POST',
    path: url.pathname + url.search,
    headers: { ...headers, 'content-type': 'application/json', ...(gzip && { 'content-encoding': 'gzip' }) },
    body: gzip ? gzipSync(body, { level: GZIP_LEVEL }) : body,
    signal,
  }
}

function answerOf(
  { statusCode, headers }: Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'>,
  text: string,
  nowMs: number,
): Answer {
  if (statusCode >= 200 && statusCode < 300) return acceptance(statusCode, text)
  const said = text === '' ? '' : `: ${errorText(text)}`
  const error = `HTTP ${statusCode}${said}`
  if (REFUSALS.has(statusCode)) return { kind: 'refused', error }
  return failed(error, retryAfterMs(headers['retry-after'], nowMs))
}

/** Not every 2xx is from a collector: a login page of a proxy must not count as an acknowledgement. */
function acceptance(statusCode: number, text: string): Answer {
  if (text.trim() === '') return { kind: 'accepted', rejected: 0, message: '' }
  const answer = parseObject(text)
  if (answer === undefined) return failed(`HTTP ${statusCode} with an answer that is no JSON object: not a collector?`)
  const { rejectedLogRecords, errorMessage } = { ...asObject(answer['partialSuccess']) }
  const rejected = Number(rejectedLogRecords ?? 0)
  return {
    kind: 'accepted',
    rejected: Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0,
    message: typeof errorMessage === 'string' ? errorMessage.slice(0, MAX_ERROR) : '',
  }
}

/** Seconds or a date (RFC 9110, section 10.2.3); 0 when there is none. */
function retryAfterMs(header: string | string[] | undefined, nowMs: number): number {
  if (typeof header !== 'string') return 0
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS) : 0
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error('the answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function failed(error: string, retryAfterMs = 0): Answer {
  return { kind: 'failed', error, retryAfterMs }
}

/** The message of a `google.rpc.Status`, or the beginning of the text. */
function errorText(text: string): string {
  const { message } = parseObject(text) ?? {}
  return (typeof message === 'string' ? message : text).slice(0, MAX_ERROR)
}

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  if (cause.name === 'TimeoutError') return 'no answer in time'
  const { code } = cause as NodeJS.ErrnoException
  return [code, cause.message]
    .filter((part) => part !== undefined && part !== '')
    .join(': ')
    .slice(0, MAX_ERROR)
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}
