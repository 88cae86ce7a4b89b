// Entry of the model thread: loads what it is told to and looks at pictures.
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
  // Why a model cannot be loaded is for the log; pictures are no text that a message could quote.
  describe: (error) => (error instanceof Error ? error.message : String(error)),
}))

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
