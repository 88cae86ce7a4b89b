// On the path of every call. Whether a refusal is in the audit log already. What is thrown once a verdict is durable has its
// record: the error handler asks here before it records a refusal of its own.
const recorded = new WeakSet()

/** Runs what follows a durable verdict, and marks what it throws. */
export async function afterRecord<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause: unknown) {
    if (cause instanceof Error) recorded.add(cause)
    throw cause
  }
}

/** The verdict on the request that this error ended is in the audit log. */
export function isRecorded(error: Error): boolean {
  return recorded.has(error)
}
