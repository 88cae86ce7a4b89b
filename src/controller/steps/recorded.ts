// On the path of every call. Whether a refusal is in the audit log already. An error thrown after a verdict is durable has
// its record: the error handler checks this before it records a refusal itself.
const recorded = new WeakSet()

/** Runs the part after a durable verdict, and marks the errors that it throws. */
export async function afterRecord<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause: unknown) {
    if (cause instanceof Error) recorded.add(cause)
    throw cause
  }
}

/** Whether the audit log has the verdict on the request that this error ended. */
export function isRecorded(error: Error): boolean {
  return recorded.has(error)
}
