// The threads of platform/thread, for workers, which import only from this folder.
export { ThreadFailure } from '../platform/thread/failure.ts'
export type { ReadCpuMs } from '../platform/thread/limits.ts'
export { createThreadPool } from '../platform/thread/pool.ts'
export { serveThread } from '../platform/thread/serve.ts'
export { startThread, threadEntry, type Thread } from '../platform/thread/thread.ts'
