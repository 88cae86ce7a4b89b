// A model thread that does what the first byte of a picture says, and fails to load all kinds but objects, each in its way.
import { parentPort } from 'node:worker_threads'
import type { Reply, Task } from '../../../src/workers/image_classifier/messages.ts'

export const DO = { answer: 0, exit: 1, hang: 2, throwLater: 3, refuse: 4, holdMuch: 5, fillHeap: 6, print: 7 } as const

const ON_LOAD = { objects: DO.answer, faces: DO.exit, nsfw: DO.refuse, scenes: DO.hang } as const
const MUCH = 10_000
let looks = 0

parentPort?.on('message', (task: Task) => {
  perform(task.do === 'load' ? ON_LOAD[task.kind] : (task.picture.pixels[0] ?? DO.answer))
})

function perform(what: number): void {
  switch (what) {
    case DO.exit:
      process.exit(3)
      break
    case DO.hang:
      for (;;);
    case DO.throwLater:
      setImmediate(() => {
        throw new Error('thrown outside of any task')
      })
      break
    case DO.refuse:
      reply({ ok: false, message: 'no such layer' })
      break
    case DO.fillHeap:
      for (const held: unknown[] = []; ;) held.push(new Array(1000).fill(held.length))
    case DO.print:
      process.stdout.write('a banner\n')
      process.stderr.write('a warning\n')
      answer(0)
      break
    default:
      answer(what === DO.holdMuch ? MUCH : 0)
  }
}

// The label counts the tasks of this thread: 1 again means that there is a new one.
function answer(heldBytes: number): void {
  looks += 1
  reply({ ok: true, findings: [{ label: `task ${looks}`, confidence: 1 }], heldBytes })
}

function reply(message: Reply): void {
  parentPort?.postMessage(message)
}
