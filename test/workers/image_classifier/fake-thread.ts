// A model thread that does what the first byte of a picture says, and fails to load all kinds but objects, each in its way.
import { serveThread } from '../../../src/worker/threads.ts'
import type { Reply, Task } from '../../../src/workers/image_classifier/messages.ts'

export const DO = { answer: 0, exit: 1, hang: 2, throwLater: 3, refuse: 4, holdMuch: 5, fillHeap: 6, print: 7 } as const

const ON_LOAD = { objects: DO.answer, faces: DO.exit, nsfw: DO.refuse, scenes: DO.hang } as const
const MUCH = 10_000
let looks = 0

serveThread<undefined, Task, Reply>(() => ({
  answer: (task) => perform(task.do === 'load' ? ON_LOAD[task.kind] : (task.picture.pixels[0] ?? DO.answer)),
}))

function perform(what: number): Reply | Promise<Reply> {
  switch (what) {
    case DO.exit:
      process.exit(3)
      // A thread may go on for a moment.
      return new Promise(() => undefined)
    case DO.hang:
      for (;;);
    case DO.throwLater:
      setImmediate(() => {
        throw new Error('thrown outside of any task')
      })
      return new Promise(() => undefined)
    case DO.refuse:
      throw new Error('no such layer')
    case DO.fillHeap:
      for (const held: unknown[] = []; ;) held.push(new Array(1000).fill(held.length))
    case DO.print:
      process.stdout.write('a banner\n')
      process.stderr.write('a warning\n')
      return answer(0)
    default:
      return answer(what === DO.holdMuch ? MUCH : 0)
  }
}

// The label counts the tasks of this thread: 1 again means that there is a new one.
function answer(heldBytes: number): Reply {
  looks += 1
  return { findings: [{ label: `task ${looks}`, confidence: 1 }], heldBytes }
}
