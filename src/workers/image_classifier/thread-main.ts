// Entry of the model thread: loads models on request and classifies pictures.
import { serveThread } from '../../worker/threads.ts'
import type { Reply, Task } from './messages.ts'
import type { Look } from './models.ts'
import { PICTURE_SIDE, type Finding, type Kind } from './picture.ts'
import { scenesOf } from './scenes.ts'

const looks = new Map<Kind, Look>()

serveThread<undefined, Task, Reply>(() => ({
  answer: async (task) => {
    const findings = task.do === 'load' ? await load(task.kind) : await lookAt(task)
    const { heapTotal, external } = process.memoryUsage()
    return { findings, heldBytes: heapTotal + external }
  },
  // The reason is for the log; a message about a picture cannot quote text.
  describe: (error) => (error instanceof Error ? error.message : String(error)),
}))

async function load(kind: Kind): Promise<[]> {
  // The rules for scenes need no model, so tfjs is not loaded for them.
  const look = kind === 'scenes' ? scenesOf : await (await import('./models.ts')).loadModel(kind)
  // The first run compiles the model: better now than during a call.
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
