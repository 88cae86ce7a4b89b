// The thread's own side: what its entry calls.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import type { FromThread, ToThread } from './messages.ts'

type Serving<Request, Reply> = {
  /** `signal` aborts when nobody waits for the reply any more. */
  readonly answer: (request: Request, signal: AbortSignal) => Promise<Reply> | Reply
  /** Buffers of a reply that are moved instead of copied. */
  readonly transfer?: (reply: Reply) => ArrayBuffer[]
  /** Before the thread ends in order. */
  readonly close?: () => Promise<void>
  /** What the owner learns of an error that `answer` throws; default: its name and its place, which quote no data. */
  readonly describe?: (error: unknown) => string
}

/** Makes what answers. `data`: the owner's; `tell`: for what nobody asked for. What it throws ends the thread. */
type StartServing<Data, Request, Reply, News> = (
  data: Data,
  tell: (news: News) => void,
) => Serving<Request, Reply> | Promise<Serving<Request, Reply>>

/** Answers the requests of the thread's owner. Where this is no thread, nothing happens. */
export function serveThread<Data, Request, Reply, News = never>(start: StartServing<Data, Request, Reply, News>): void {
  if (parentPort === null) return
  // Libraries print what they stumble over, which may be text of a request; and what is printed keeps the process alive.
  process.stdout.write = () => true
  process.stderr.write = () => true
  void serve(parentPort, start)
}

async function serve<Data, Request, Reply, News>(
  port: MessagePort,
  start: StartServing<Data, Request, Reply, News>,
): Promise<void> {
  const post = (message: FromThread<Reply, News>, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)
  const serving = await start(workerData as Data, (news) => post({ kind: 'news', news }))
  const running = new Map<number, AbortController>()
  port.on('message', (message: ToThread<Request>) => {
    switch (message.kind) {
      case 'ask':
        void answerOne(message, serving, running, post)
        return
      case 'cancel':
        running.get(message.id)?.abort()
        return
      case 'close':
        void Promise.resolve(serving.close?.()).finally(() => port.close())
        return
      default:
        message satisfies never
    }
  })
  post({ kind: 'ready' })
}

async function answerOne<Request, Reply, News>(
  { id, request }: Extract<ToThread<Request>, { kind: 'ask' }>,
  { answer, transfer, describe = placeOf }: Serving<Request, Reply>,
  running: Map<number, AbortController>,
  post: (message: FromThread<Reply, News>, transfer?: ArrayBuffer[]) => void,
): Promise<void> {
  const cancelled = new AbortController()
  running.set(id, cancelled)
  try {
    const reply = await answer(request, cancelled.signal)
    post({ kind: 'reply', id, reply }, transfer?.(reply))
  } catch (error: unknown) {
    post({ kind: 'fault', id, message: describe(error) })
  } finally {
    running.delete(id)
  }
}

function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const frame = /^ +at .*$/m.exec(error.stack?.slice(String(error).length) ?? '')?.[0].trim()
  return frame === undefined ? error.name : `${error.name} ${frame}`
}
