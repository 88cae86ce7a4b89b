// On the path of every call. Counting without what prom-client does for every event: it checks the labels and joins them to a
// key, up to three times. Here a combination of labels is looked up once, and an event only adds to the numbers that prom-client
// keeps for it. An event with an exemplar takes prom-client's own way.
import type { Counter, Histogram, LabelValues } from 'prom-client'

/** `amount`: what a counter grows by, or the value that a histogram gets. */
type Add = (amount: number, exemplar?: Exemplar) => void
type Exemplar = Readonly<Record<string, string>>

/** What prom-client keeps for one combination of labels, and where; its types do not show it. */
type Count = { value: number }
type Distribution = { sum: number; count: number; readonly bucketValues: Record<string, number> }
type Kept<Numbers> = {
  readonly store: {
    readonly entry: (labels: object) => Numbers
    readonly setDelta: (labels: object, amount: number) => void
  }
}

/** Adds to the counter with these labels. */
export function adding<L extends string>(counter: Counter<L>, labels: LabelValues<L>): Add {
  const { store } = counter as unknown as Kept<Count>
  store.setDelta(labels, 0)
  const kept = store.entry(labels)
  return (amount, exemplar) => {
    if (exemplar === undefined) kept.value += amount
    else counter.inc({ labels, value: amount, exemplarLabels: labelsOf<L>(exemplar) })
  }
}

/** Adds a value to the histogram with these labels. */
export function observing<L extends string>(histogram: Histogram<L>, labels: LabelValues<L>): Add {
  const { store, upperBounds } = histogram as unknown as Kept<Distribution> & { upperBounds: readonly number[] }
  histogram.zero(labels)
  const kept = store.entry(labels)
  const names = upperBounds.map(String)
  return (value, exemplar) => {
    if (exemplar !== undefined) {
      histogram.observe({ labels, value, exemplarLabels: labelsOf<L>(exemplar) })
      return
    }
    kept.sum += value
    kept.count += 1
    const name = names[upperBounds.findIndex((bound) => value <= bound)]
    if (name !== undefined) kept.bucketValues[name] = (kept.bucketValues[name] ?? 0) + 1
  }
}

/** prom-client's types require an exemplar to have the labels of its metric, which is not what exemplars are for. */
function labelsOf<L extends string>(exemplar: Exemplar): LabelValues<L> {
  return exemplar as LabelValues<L>
}

/** Makes each pair once. The first call with new texts makes it; their number must be limited. */
export function oncePerPair<T>(make: (a: string, b: string) => T): (a: string, b: string) => T {
  const made = new Map<string, Map<string, T>>()
  return (a, b) => {
    let below = made.get(a)
    if (below === undefined) made.set(a, (below = new Map<string, T>()))
    let one = below.get(b)
    if (one === undefined) below.set(b, (one = make(a, b)))
    return one
  }
}
