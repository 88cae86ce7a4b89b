// The models behind one function: a thread that is started at the first call, loads each model at its first use, and is
// replaced when it fails, hangs or holds too much memory.
import { extname } from 'node:path'
import type { HandlerContext } from '../../worker/handler.ts'
import { createLane } from './lane.ts'
import type { Finding, Kind, Picture } from './picture.ts'
import { startThread, type Thread } from './thread.ts'

export type ModelThread = {
  /** One call at a time; the others wait. @throws {ModelError}, and the signal's reason when it aborts before its turn. */
  look(
    kind: Kind,
    picture: Picture,
    call: Pick<HandlerContext<unknown>, 'signal' | 'inSpan'>,
  ): Promise<readonly Finding[]>
  /** Ends the thread; no other is started. */
  close(): Promise<void>
}

/** `stage`: whether the model could not be loaded, or failed at its work. The thread is gone in both cases. */
export class ModelError extends Error {
  override readonly name = 'ModelError'
  readonly stage: 'load' | 'look'
  constructor(stage: 'load' | 'look', message: string, options?: ErrorOptions) {
    super(message, options)
    this.stage = stage
  }
}

export type ModelThreadOptions = {
  readonly entry?: URL
  readonly maxLoadMs?: number
  readonly maxLookMs?: number
  readonly maxHeapMb?: number
  /** Heap and wasm together, looked at after each task. */
  readonly maxHeldBytes?: number
}

// Beside this file, with its ending: .ts in the repository, .js in the package.
const ENTRY = new URL(`./thread-main${extname(import.meta.url)}`, import.meta.url)
const MAX_LOAD_MS = 60_000
const MAX_LOOK_MS = 20_000
const MAX_HEAP_MB = 512
const MAX_HELD_BYTES = 1024 * 1024 * 1024

type Running = { readonly thread: Thread; readonly loaded: Set<Kind> }

export function createModelThread(options: ModelThreadOptions = {}): ModelThread {
  const { entry = ENTRY, maxLoadMs = MAX_LOAD_MS, maxLookMs = MAX_LOOK_MS } = options
  const { maxHeapMb = MAX_HEAP_MB, maxHeldBytes = MAX_HELD_BYTES } = options
  const lane = createLane()
  let running: Running | undefined
  let closed = false

  return {
    look: (kind, picture, { signal, inSpan }) =>
      lane(signal, async () => {
        const { thread, loaded } = current()
        if (!loaded.has(kind)) {
          await attempt('load', () => inSpan('model.load', () => thread.ask({ do: 'load', kind }, maxLoadMs)))
          loaded.add(kind)
          signal.throwIfAborted()
        }
        const { findings, heldBytes } = await attempt('look', () =>
          inSpan(`image.${kind}`, () => thread.ask({ do: 'look', kind, picture }, maxLookMs)),
        )
        if (heldBytes > maxHeldBytes) await giveUp()
        return findings
      }),
    close: async () => {
      closed = true
      await giveUp()
    },
  }

  function current(): Running {
    if (closed) throw new ModelError('load', 'the model thread is closed')
    if (running?.thread.isAlive() !== true) running = { thread: startThread(entry, maxHeapMb), loaded: new Set() }
    return running
  }

  async function attempt<T>(stage: ModelError['stage'], work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause: unknown) {
      await giveUp()
      throw new ModelError(stage, 'the model thread failed', { cause })
    }
  }

  async function giveUp(): Promise<void> {
    const last = running
    running = undefined
    await last?.thread.end()
  }
}
