// A fault that may be met over and over is reported once: again when it changes, or after it was over.

type ReportedFault = {
  /** Whether to report it now; from then on it counts as reported. */
  readonly isNews: (fault: string) => boolean
  /** It is over. @returns whether it had been reported */
  readonly end: () => boolean
  /** What was reported last and is not over. */
  readonly current: () => string | undefined
}

export function createReportedFault(): ReportedFault {
  let reported: string | undefined
  return {
    isNews(fault) {
      if (fault === reported) return false
      reported = fault
      return true
    },
    end() {
      const wasReported = reported !== undefined
      reported = undefined
      return wasReported
    },
    current: () => reported,
  }
}
