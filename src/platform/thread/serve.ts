// The thread's side: what the entry file of a thread calls.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import type { FromThread, ToThread } from './messages.ts'

type Serving<Request, Reply> = {
  /** `signal` aborts when the caller no longer waits for the reply. */
  readonly answer: (request: Request, signal: AbortSignal) => Promise<Reply> | Reply
  /** The buffers of a reply to move instead of copying them. */
  readonly transfer?: (reply: Reply) => ArrayBuffer[]
  /** Called before an orderly end of the thread. */
  readonly close?: () => Promise<void>
  /** What the owner learns about an error that `answer` throws; default: its name and position, which quote no data. */
  readonly describe?: (error: unknown) => string
}

/** Creates the handler. `data`: from the owner; `tell`: sends an unsolicited message. An error that it throws ends the thread. */
type StartServing<Data, Request, Reply, News> = (
  data: Data,
  tell: (news: News) => void,
) => Serving<Request, Reply> | Promise<Serving<Request, Reply>>

/** Answers the requests of the thread's owner. Does nothing outside a thread. */
export function serveThread<Data, Request, Reply, News = never>(start: StartServing<Data, Request, Reply, News>): void {
  if (parentPort === null) return
  // Libraries print warnings that may quote a request; and output that is printed keeps the process alive.
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
