// Questions and answers between a process and one that it started, over the channel of `child_process`. Messages arrive in the
// order in which they were sent; each side answers as soon as it can.
import type { Serializable } from 'node:child_process'
import { AppError, type ErrorCode } from '../core/errors.ts'

/** What may be asked, by name. */
type Protocol = Readonly<Record<string, { readonly ask: unknown; readonly answer: unknown }>>

/** A handler runs before the next message is read, up to its first wait. */
export type Handlers<P extends Protocol> = {
  readonly [K in keyof P]: (ask: P[K]['ask']) => P[K]['answer'] | Promise<P[K]['answer']>
}

export type Link<Out extends Protocol> = {
  /** @throws {AppError} that the other side threw; {LinkClosedError} when it is gone */
  readonly ask: <K extends keyof Out & string>(name: K, ask: Out[K]['ask']) => Promise<Out[K]['answer']>
  /** Without an answer; lost when the other side is gone. */
  readonly tell: <K extends keyof Out & string>(name: K, ask: Out[K]['ask']) => void
  /** The other side has not read for a while: what may be lost should not be sent. */
  readonly isBehind: () => boolean
}

/** The other process is gone. */
export class LinkClosedError extends Error {
  override readonly name = 'LinkClosedError'
}

/** `process`, or a `ChildProcess`; its channel must use the serialization `advanced`. */
type Port = {
  readonly connected: boolean
  send?: (message: Serializable, done: (error: Error | null) => void) => unknown
  on: ((event: 'message', listener: (message: unknown) => void) => unknown) &
    ((event: 'disconnect', listener: () => void) => unknown)
}

type Frame =
  | { readonly kind: 'ask'; readonly id: number; readonly name: string; readonly ask: unknown }
  | { readonly kind: 'tell'; readonly name: string; readonly ask: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly code: ErrorCode; readonly message: string }

type Waiting = { readonly resolve: (answer: unknown) => void; readonly reject: (error: Error) => void }

/** Messages that the channel has not taken yet; Node keeps them in memory. */
const MAX_UNSENT = 100

/** `onError`: a handler failed to which nobody waits. */
export function createLink<Out extends Protocol, In extends Protocol>(
  port: Port,
  handlers: Handlers<In>,
  onError: (cause: unknown) => void,
): Link<Out> {
  const waiting = new Map<number, Waiting>()
  let lastId = 0
  let unsent = 0
  const send = (frame: Frame): void => {
    // The end of the other side is noticed by `disconnect`.
    if (!port.connected) return
    unsent++
    port.send?.(frame, () => unsent--)
  }
  const run = (name: string, ask: unknown): unknown => (handlers[name] as (ask: unknown) => unknown)(ask)
  port.on('message', (message) => {
    const frame = message as Frame
    switch (frame.kind) {
      case 'ask':
        void answer(frame, run, send)
        return
      case 'tell':
        void Promise.try(run, frame.name, frame.ask).catch(onError)
        return
      case 'answer':
      case 'error': {
        const one = waiting.get(frame.id)
        waiting.delete(frame.id)
        if (frame.kind === 'answer') one?.resolve(frame.answer)
        else one?.reject(new AppError(frame.code, frame.message))
        return
      }
      default:
        frame satisfies never
    }
  })
  port.on('disconnect', () => {
    for (const { reject } of waiting.values()) reject(new LinkClosedError('the other process is gone'))
    waiting.clear()
  })
  return {
    ask: <K extends keyof Out & string>(name: K, ask: Out[K]['ask']) =>
      new Promise<Out[K]['answer']>((resolve, reject) => {
        if (!port.connected) {
          reject(new LinkClosedError('the other process is gone'))
          return
        }
        const id = ++lastId
        waiting.set(id, { resolve, reject })
        send({ kind: 'ask', id, name, ask })
      }),
    tell: (name, ask) => send({ kind: 'tell', name, ask }),
    isBehind: () => unsent > MAX_UNSENT,
  }
}

async function answer(
  { id, name, ask }: Frame & { kind: 'ask' },
  run: (name: string, ask: unknown) => unknown,
  send: (frame: Frame) => void,
): Promise<void> {
  try {
    send({ kind: 'answer', id, answer: await run(name, ask) })
  } catch (cause: unknown) {
    const { code, message } = cause instanceof AppError ? cause : new AppError('internal_error')
    send({ kind: 'error', id, code, message })
  }
}
