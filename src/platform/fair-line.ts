// A line in which owners take turns, however many entries one of them has; of one owner the oldest is next, and when one has to
// go, it is the newest of the owner with the most.

export class FairLine<T> {
  /** Whose turn comes first is first. */
  readonly #byOwner = new Map<string, T[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** How many owners have entries. */
  get owners(): number {
    return this.#byOwner.size
  }

  countOf(owner: string): number {
    return this.#byOwner.get(owner)?.length ?? 0
  }

  add(owner: string, entry: T): void {
    const own = this.#byOwner.get(owner)
    if (own === undefined) this.#byOwner.set(owner, [entry])
    else own.push(entry)
    this.#size += 1
  }

  /** Removes the next one. */
  next(): T | undefined {
    const [first] = this.#byOwner
    if (first === undefined) return undefined
    const [owner, entries] = first
    const entry = entries.shift()
    this.#size -= 1
    // To the end: the others' turn comes first.
    this.#byOwner.delete(owner)
    if (entries.length > 0) this.#byOwner.set(owner, entries)
    return entry
  }

  /** Removes the newest of the owner with the most. */
  dropNewest(): T | undefined {
    let most: readonly [string, T[]] | undefined
    for (const each of this.#byOwner) if (most === undefined || each[1].length > most[1].length) most = each
    if (most === undefined) return undefined
    const [owner, entries] = most
    const dropped = entries.pop()
    this.#size -= 1
    if (entries.length === 0) this.#byOwner.delete(owner)
    return dropped
  }

  /** Removes those to which it applies. */
  drop(applies: (entry: T) => boolean): T[] {
    const dropped: T[] = []
    for (const [owner, entries] of this.#byOwner) {
      const rest: T[] = []
      for (const entry of entries) (applies(entry) ? dropped : rest).push(entry)
      if (rest.length === 0) this.#byOwner.delete(owner)
      else this.#byOwner.set(owner, rest)
    }
    this.#size -= dropped.length
    return dropped
  }
}
