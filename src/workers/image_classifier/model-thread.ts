// Runs the models in a thread. The thread starts at the first call, loads each model at its first use, and is replaced
// when it fails, hangs or holds too much memory.
import type { HandlerContext } from '../../worker/handler.ts'
import { createThreadPool, threadEntry, type Thread, ThreadFailure } from '../../worker/threads.ts'
import type { Reply, Task } from './messages.ts'
import type { Finding, Kind, Picture } from './picture.ts'

export type ModelThread = {
  /**
   * One call at a time; the others wait. @throws {ModelError}, and the signal's reason when it aborts before its turn.
   */
  look(
    kind: Kind,
    picture: Picture,
    call: Pick<HandlerContext<unknown>, 'signal' | 'inSpan'>,
  ): Promise<readonly Finding[]>
  /** Ends the thread; no other one starts. */
  close(): Promise<void>
}

/** `stage`: whether loading or running the model failed. The thread has ended in both cases. */
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
  /** Limit for heap and wasm together, checked after each task. */
  readonly maxHeldBytes?: number
}

const ENTRY = threadEntry('thread-main', import.meta.url)
const MAX_LOAD_MS = 60_000
const MAX_LOOK_MS = 20_000
const MAX_HEAP_MB = 512
const MAX_HELD_BYTES = 1024 * 1024 * 1024

type ModelsThread = Thread<Task, Reply>

export function createModelThread(options: ModelThreadOptions = {}): ModelThread {
  const { entry = ENTRY, maxLoadMs = MAX_LOAD_MS, maxLookMs = MAX_LOOK_MS } = options
  const { maxHeapMb = MAX_HEAP_MB, maxHeldBytes = MAX_HELD_BYTES } = options
  const pool = createThreadPool<Task, Reply>({ entry, name: 'image models', threads: 1, maxHeapMib: maxHeapMb })
  const loadedIn = new WeakMap<ModelsThread, Set<Kind>>()

  return {
    look: (kind, picture, { signal, inSpan }) =>
      inTurn(signal, async (thread) => {
        const loaded = loadedIn.get(thread) ?? new Set()
        loadedIn.set(thread, loaded)
        if (!loaded.has(kind)) {
          await inSpan('model.load', () => ask(thread, { do: 'load', kind }, maxLoadMs))
          loaded.add(kind)
          signal.throwIfAborted()
        }
        const { findings, heldBytes } = await inSpan(`image.${kind}`, () =>
          ask(thread, { do: 'look', kind, picture }, maxLookMs),
        )
        if (heldBytes > maxHeldBytes) await thread.end()
        return findings
      }),
    close: () => pool.close(),
  }

  async function inTurn<T>(signal: AbortSignal, work: (thread: ModelsThread) => Promise<T>): Promise<T> {
    try {
      return await pool.use(signal, work)
    } catch (cause: unknown) {
      // Closed while the call waited, or before it arrived.
      throw cause instanceof ThreadFailure ? new ModelError('load', cause.message, { cause }) : cause
    }
  }
}

/**
 * A started task is finished even if the caller leaves: ending the thread would load the models again for the next
 * call.
 */
async function ask(thread: ModelsThread, task: Task, wallMs: number): Promise<Reply> {
  try {
    return await thread.ask(task, { limits: { wallMs } })
  } catch (cause: unknown) {
    // After any failure: a model that failed once is not trusted with the next picture.
    await thread.end()
    throw new ModelError(task.do, 'the model thread failed', { cause })
  }
}
