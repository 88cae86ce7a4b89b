// Threads for workers, which know nothing but this folder: the machine of platform/thread.
export { ThreadFailure } from '../platform/thread/failure.ts'
export type { ReadCpuMs } from '../platform/thread/limits.ts'
export { createThreadPool } from '../platform/thread/pool.ts'
export { serveThread } from '../platform/thread/serve.ts'
export { startThread, threadEntry, type Thread } from '../platform/thread/thread.ts'
