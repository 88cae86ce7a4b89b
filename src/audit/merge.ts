// Brings the records of several logs, one of each process of a controller, into one order: that of time.

type Timed = { readonly record: { readonly timestamp: string } }
type Head<T> = { readonly source: AsyncIterator<T, void>; item: T }

/**
 * The items of all `sources`, earliest first, or latest first where the sources are in that order; at the same time, in the order
 * of `sources`. Each source keeps its own order, even if its clock was set back. Reads one item ahead of each. Ends the sources
 * when it ends.
 */
export async function* mergeByTime<T extends Timed>(
  sources: readonly AsyncGenerator<T, void>[],
  order: 'oldest' | 'newest' = 'oldest',
): AsyncGenerator<T, void> {
  const next = (heads: readonly Head<T>[]): Head<T> | undefined => firstOf(heads, order)
  try {
    const first = await Promise.all(sources.map(async (source) => headOf(source)))
    const heads = first.filter((head) => head !== undefined)
    for (let at = next(heads); at !== undefined; at = next(heads)) {
      const { source, item } = at
      yield item
      const following = await headOf(source)
      heads.splice(heads.indexOf(at), 1, ...(following === undefined ? [] : [following]))
    }
  } finally {
    await Promise.all(sources.map((source) => source.return()))
  }
}

async function headOf<T>(source: AsyncIterator<T, void>): Promise<Head<T> | undefined> {
  const next = await source.next()
  return next.done === true ? undefined : { source, item: next.value }
}

function firstOf<T extends Timed>(heads: readonly Head<T>[], order: 'oldest' | 'newest'): Head<T> | undefined {
  let found: Head<T> | undefined
  for (const head of heads) {
    if (found === undefined || isBefore(head.item, found.item, order)) found = head
  }
  return found
}

function isBefore({ record: a }: Timed, { record: b }: Timed, order: 'oldest' | 'newest'): boolean {
  return order === 'oldest' ? a.timestamp < b.timestamp : a.timestamp > b.timestamp
}
