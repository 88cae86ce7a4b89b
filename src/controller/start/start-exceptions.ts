// The watch over the exceptions of the live policy, with its metrics.
import type { Logger } from '../../platform/logger.ts'
import type { Registry } from '../../platform/metrics.ts'
import { createExceptionMetrics } from '../exceptions/metrics-exceptions.ts'
import { DATA_FILES } from '../../policy/data/data-shapes.ts'
import { createExceptionWatch, type ExceptionWatch } from '../exceptions/exception-watch.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'

type Options = {
  readonly policy: Pick<LivePolicy, 'files' | 'onChange' | 'dataFaults'>
  readonly metricsRegistry: Registry
  readonly log: Logger
  readonly now: () => number
}

export function startExceptions({ policy, metricsRegistry, log, now }: Options): ExceptionWatch {
  const metrics = createExceptionMetrics(metricsRegistry, {
    secondsLeft: () => watch.list().map(({ entry, expiresMs }) => [entry.id, (expiresMs - now()) / 1000]),
    dataFaults() {
      const faults = policy.dataFaults()
      return DATA_FILES.map((name) => [name, faults.filter(({ file }) => file === name).length])
    },
  })
  const watch = createExceptionWatch({ log, now, onUsed: metrics.used })
  const follow = (): void => {
    const { exceptions } = policy.files()
    metrics.follow(exceptions.map(({ id }) => id))
    watch.follow(exceptions)
  }
  follow()
  policy.onChange(follow)
  return watch
}
