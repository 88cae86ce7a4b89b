// Starts the watch over the exceptions of the live policy, with its metrics.
import { DATA_FILES } from '../../policy/data/data-shapes.ts'
import { createExceptionWatch, type ExceptionWatch } from '../exceptions/exception-watch.ts'
import { createExceptionMetrics } from '../exceptions/metrics-exceptions.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import type { Ground } from './ground.ts'

export function startExceptions({ metricsRegistry, log, now, opened }: Ground, policy: LivePolicy): ExceptionWatch {
  const metrics = createExceptionMetrics(metricsRegistry, {
    secondsLeft: () => watch.list().map(({ entry, expiresMs }) => [entry.id, (expiresMs - now()) / 1000]),
    dataFaults() {
      const faults = policy.dataFaults()
      return DATA_FILES.map((name) => [name, faults.filter(({ file }) => file === name).length])
    },
  })
  const watch = opened.adopt(createExceptionWatch({ log, now, onUsed: metrics.used }), ({ close }) => close())
  const follow = (): void => {
    const { exceptions } = policy.files()
    metrics.follow(exceptions.map(({ id }) => id))
    watch.follow(exceptions)
  }
  follow()
  policy.onChange(follow)
  return watch
}
