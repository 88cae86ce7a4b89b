// Entry of the model thread: loads what it is told to and looks at pictures. A failure is told, then the thread is given up.
import { parentPort } from 'node:worker_threads'
import type { Reply, Task } from './messages.ts'
import type { Look } from './models.ts'
import { PICTURE_SIDE, type Finding, type Kind } from './picture.ts'
import { scenesOf } from './scenes.ts'

const looks = new Map<Kind, Look>()

parentPort?.on('message', (task: Task) => {
  void answer(task).then((reply) => parentPort?.postMessage(reply))
})

async function answer(task: Task): Promise<Reply> {
  try {
    const findings = task.do === 'load' ? await load(task.kind) : await lookAt(task)
    const { heapTotal, external } = process.memoryUsage()
    return { ok: true, findings, heldBytes: heapTotal + external }
  } catch (error: unknown) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) }
  }
}

async function load(kind: Kind): Promise<[]> {
  // The rules for scenes need no model, and without one tfjs is not loaded either.
  const look = kind === 'scenes' ? scenesOf : await (await import('./models.ts')).loadModel(kind)
  // The first look compiles: better now than in somebody's call.
  const side = PICTURE_SIDE
  await look({ pixels: new Uint8Array(side * side * 3), width: side, height: side })
  looks.set(kind, look)
  return []
}

async function lookAt({ kind, picture }: Extract<Task, { do: 'look' }>): Promise<Finding[]> {
  const look = looks.get(kind)
  if (look === undefined) throw new Error(`the model for ${kind} is not loaded`)
  return look(picture)
}
