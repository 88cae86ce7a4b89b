// The side of a process that the bench has started: it reports once, answers jobs, and ends with the bench.

/** Tells the bench that this process is up, and the port if it listens. From then on it ends as soon as the bench does, however that came about. */
export function reportReady(port = 0): void {
  process.on('disconnect', () => process.exit())
  process.on('SIGTERM', () => process.exit()) // in order, so that a profile is written
  process.on('SIGINT', () => undefined) // Ctrl-C reaches the whole group; the bench stops us in order.
  process.send?.({ port })
}

/** Does one job after the other; a failure is told to the bench, not fatal here. */
export function answerJobs(work: (job: never) => Promise<object>): void {
  process.on('message', (job: object) => {
    work(job as never).then(
      (result) => process.send?.({ result }),
      (cause: unknown) =>
        process.send?.({ failure: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) }),
    )
  })
}
