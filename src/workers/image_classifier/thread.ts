// One model thread: a task at a time with a time limit, and a failure that stays once there is one.
import { Worker } from 'node:worker_threads'
import type { Reply, Task } from './messages.ts'

export type Answered = Extract<Reply, { ok: true }>
export type Thread = {
  /** @throws {Error} after `limitMs`, when the task fails in the thread, and when the thread ends. */
  ask(task: Task, limitMs: number): Promise<Answered>
  /** Whether it can still be asked: not after it ended or failed. */
  isAlive(): boolean
  end(): Promise<void>
}

/** Starts a thread from `entry`; `maxHeapMb` bounds its JavaScript heap. Its console goes nowhere: the log is JSON. */
export function startThread(entry: URL, maxHeapMb: number): Thread {
  const worker = new Worker(entry, {
    name: 'image models',
    stdout: true,
    stderr: true,
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
  })
  worker.stdout.resume()
  worker.stderr.resume()
  // A thread that waits for work does not keep the process; one at work does.
  worker.unref()
  const failed = new AbortController()
  const fail = (cause: unknown): void => failed.abort(cause instanceof Error ? cause : new Error(String(cause)))
  worker.on('error', fail)
  worker.on('messageerror', fail)
  worker.on('exit', (code) => fail(new Error(`the thread ended with code ${code}`)))

  return {
    isAlive: () => !failed.signal.aborted,
    end: async () => {
      await worker.terminate()
    },
    ask: async (task, limitMs) => {
      worker.ref()
      const timer = setTimeout(() => fail(new Error(`the thread did not answer within ${limitMs} ms`)), limitMs)
      try {
        const reply = await nextReply(worker, failed.signal, task)
        if (!reply.ok) throw new Error(reply.message)
        return reply
      } catch (error: unknown) {
        fail(error)
        throw error
      } finally {
        clearTimeout(timer)
        worker.unref()
      }
    },
  }
}

function nextReply(worker: Worker, failed: AbortSignal, task: Task): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      worker.off('message', onReply)
      failed.removeEventListener('abort', onFailure)
    }
    const onReply = (reply: Reply): void => {
      settle()
      resolve(reply)
    }
    const onFailure = (): void => {
      settle()
      reject(failed.reason as Error)
    }
    if (failed.aborted) {
      reject(failed.reason as Error)
      return
    }
    worker.on('message', onReply)
    failed.addEventListener('abort', onFailure, { once: true })
    worker.postMessage(task)
  })
}
