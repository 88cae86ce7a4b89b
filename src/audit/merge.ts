// Brings the records of several logs, one of each process of a controller, into one order: that of time.

type Timed = { readonly record: { readonly timestamp: string } }
type Head<T> = { readonly source: AsyncIterator<T, void>; item: T }

/**
 * The items of all `sources`, earliest first; at the same time, in the order of `sources`. Each source keeps its own order, even
 * if its clock was set back. Reads one item ahead of each. Ends the sources when it ends.
 */
export async function* mergeByTime<T extends Timed>(
  sources: readonly AsyncGenerator<T, void>[],
): AsyncGenerator<T, void> {
  try {
    const first = await Promise.all(sources.map(async (source) => headOf(source)))
    const heads = first.filter((head) => head !== undefined)
    for (let at = earliest(heads); at !== undefined; at = earliest(heads)) {
      const { source, item } = at
      yield item
      const next = await headOf(source)
      heads.splice(heads.indexOf(at), 1, ...(next === undefined ? [] : [next]))
    }
  } finally {
    await Promise.all(sources.map((source) => source.return()))
  }
}

async function headOf<T>(source: AsyncIterator<T, void>): Promise<Head<T> | undefined> {
  const next = await source.next()
  return next.done === true ? undefined : { source, item: next.value }
}

function earliest<T extends Timed>(heads: readonly Head<T>[]): Head<T> | undefined {
  let found: Head<T> | undefined
  for (const head of heads) {
    if (found === undefined || head.item.record.timestamp < found.item.record.timestamp) found = head
  }
  return found
}
