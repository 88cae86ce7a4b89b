// The child side of a bench process: it reports once, answers jobs, and ends with the bench.

/**
 * Reports to the bench that this process is ready, and its port if it listens. From then on it ends with the bench,
 * however the bench ends.
 */
export function reportReady(port = 0): void {
  process.on('disconnect', () => process.exit())
  process.on('SIGTERM', () => process.exit()) // An orderly exit writes the profile.
  process.on('SIGINT', () => undefined) // Ctrl-C reaches the whole group; the bench stops this process in order.
  process.send?.({ port })
}

/** Runs one job at a time; a failure is reported to the bench and does not end the process. */
export function answerJobs(work: (job: never) => Promise<object>): void {
  process.on('message', (job: object) => {
    work(job as never).then(
      (result) => process.send?.({ result }),
      (cause: unknown) =>
        process.send?.({ failure: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) }),
    )
  })
}
