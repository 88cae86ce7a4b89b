// Reports a recurring fault once: again only when it changes, or when it returns after it had ended.

export type ReportedFault = {
  /** Whether to report the fault now; if so, it counts as reported from then on. */
  readonly isNews: (fault: string) => boolean
  /** The fault has ended. @returns whether it had been reported */
  readonly end: () => boolean
  /** The reported fault that has not ended. */
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
