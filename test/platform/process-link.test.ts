// Two ends of one channel: real processes talk over it in test/e2e/processes.test.ts; here the ends are in one process.
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { AppError } from '../../src/core/errors.ts'
import { createLink, LinkClosedError, type Handlers } from '../../src/platform/process-link.ts'

type Sum = { readonly add: { readonly ask: readonly number[]; readonly answer: number } }
type Note = { readonly note: { readonly ask: string; readonly answer: undefined } }

class End extends EventEmitter {
  connected = true
  other: End | undefined
  send(message: unknown): void {
    const copy: unknown = structuredClone(message)
    queueMicrotask(() => this.other?.emit('message', copy))
  }
  disconnect(): void {
    for (const end of [this, this.other]) {
      if (end === undefined) continue
      end.connected = false
      end.emit('disconnect')
    }
  }
}

function linked(add: Handlers<Sum>['add'], note: Handlers<Note>['note'] = () => undefined) {
  const [left, right] = [new End(), new End()]
  left.other = right
  right.other = left
  const errors: unknown[] = []
  const asking = createLink<Sum, Note>(left, { note }, (cause) => errors.push(cause))
  const answering = createLink<Note, Sum>(right, { add }, (cause) => errors.push(cause))
  return { asking, answering, left, errors }
}

test('each answer finds its question, in whatever order the answers come', async () => {
  const gates = [Promise.withResolvers<null>(), Promise.withResolvers<null>()]
  const { asking } = linked(async ([a = 0, b = 0]) => {
    await gates[a]?.promise
    return a + b
  })
  const answers = Promise.all([asking.ask('add', [0, 10]), asking.ask('add', [1, 20])])
  gates[1]!.resolve(null)
  gates[0]!.resolve(null)
  expect(await answers).toEqual([10, 21])
})

test('an error of the other side arrives with its code; another fault quotes nothing', async () => {
  const { asking } = linked(([first]) => {
    throw first === 1 ? new AppError('idempotency_unavailable', 'the disk is full') : new Error('secret')
  })
  await expect(asking.ask('add', [1])).rejects.toMatchObject({
    code: 'idempotency_unavailable',
    message: 'the disk is full',
  })
  await expect(asking.ask('add', [2])).rejects.toMatchObject({ code: 'internal_error', message: 'internal error' })
})

test('what is only told is not answered, and its fault is reported where it happened', async () => {
  const noted: string[] = []
  const { answering, errors } = linked(
    () => 0,
    (text) => {
      noted.push(text)
      throw new Error('no room')
    },
  )
  answering.tell('note', 'hi')
  await new Promise(setImmediate)
  expect([noted, errors]).toEqual([['hi'], [new Error('no room')]])
})

test('when the other side goes, who waits and who asks later is told', async () => {
  const { asking, left } = linked(() => new Promise(() => undefined))
  const waiting = asking.ask('add', [1])
  left.disconnect()
  await expect(waiting).rejects.toThrow(LinkClosedError)
  await expect(asking.ask('add', [1])).rejects.toThrow(LinkClosedError)
  expect(() => asking.tell('add', [1])).not.toThrow()
})

test('says that the other side has not read for a while, and that it reads again', () => {
  const taken: (() => void)[] = []
  const port = { connected: true, on: () => undefined, send: (_frame: unknown, done: () => void) => taken.push(done) }
  const link = createLink<Note, Sum>(port as never, { add: () => 0 }, () => undefined)
  for (let at = 0; at < 101; at++) link.tell('note', 'a note')
  expect(link.isBehind()).toBe(true)
  for (const done of taken) done()
  expect(link.isBehind()).toBe(false)
})
