// A thread that does what it is asked to: to see what its owner learns of it.
import { setTimeout as delay } from 'node:timers/promises'
import { serveThread } from '../../../src/platform/thread/serve.ts'

export type Order =
  | { readonly do: 'echo'; readonly text: string }
  | {
      readonly do:
        | 'count'
        | 'never reply'
        | 'nothing'
        | 'spin'
        | 'exit'
        | 'throw'
        | 'throw later'
        | 'print'
        | 'cancelled?'
        | 'environment'
    }
  | { readonly do: 'fill'; readonly what: 'heap' | 'buffers' }
  | { readonly do: 'double'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly do: 'reply with a function' }

export type Data = { readonly startMs?: number; readonly failStart?: boolean }

let asked = 0
let cancelled = 0
const kept: unknown[] = []

serveThread<Data | undefined, Order, unknown, string>(async (data, tell) => {
  tell('hello')
  if (data?.failStart === true) throw new Error('no start')
  await delay(data?.startMs ?? 0)
  return {
    answer: (order, signal) => perform(order, signal),
    transfer: (reply) => (reply instanceof Uint8Array && reply.buffer instanceof ArrayBuffer ? [reply.buffer] : []),
    close: async () => {
      await delay(20)
      tell('closed')
    },
  }
})

function perform(order: Order, signal: AbortSignal): unknown {
  asked += 1
  switch (order.do) {
    case 'echo':
      return order.text
    case 'count':
      return asked
    case 'cancelled?':
      return cancelled
    case 'environment':
      return { ...process.env }
    case 'never reply':
      signal.addEventListener('abort', () => (cancelled += 1))
      return new Promise(() => undefined)
    case 'spin':
      for (;;) Math.random()
    case 'exit':
      process.exit(3)
    // A thread may go on for a moment.
    case 'nothing':
      return new Promise(() => undefined)
    case 'throw':
      throw new TypeError('SECRET')
    case 'throw later':
      setImmediate(() => {
        throw new Error('SECRET')
      })
      return new Promise(() => undefined)
    case 'print':
      process.stdout.write('SECRET\n')
      process.stderr.write('SECRET\n')
      process.emitWarning('SECRET')
      return 'printed'
    case 'fill':
      for (;;)
        kept.push(
          order.what === 'heap' ? Array.from({ length: 1000 }, () => ({})) : new Uint8Array(1024 * 1024).fill(1),
        )
    case 'double':
      return order.bytes.map((byte) => byte * 2)
    case 'reply with a function':
      return () => undefined
  }
}
