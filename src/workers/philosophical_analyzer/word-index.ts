// Maps words and word beginnings (`embod*`) to values: one look-up per possible beginning, no regular expression.

export type WordIndex<T> = { readonly find: (word: string) => readonly T[] }

/** Entries in their given order; a word may have several. */
export function createWordIndex<T>(entries: readonly (readonly [word: string, value: T])[]): WordIndex<T> {
  const exact = new Map<string, T[]>()
  const beginnings = new Map<string, T[]>()
  for (const [word, value] of entries) {
    const [index, key] = word.endsWith('*') ? [beginnings, word.slice(0, -1)] : [exact, word]
    const values = index.get(key)
    if (values === undefined) index.set(key, [value])
    else values.push(value)
  }
  const lengths = [...new Set(Array.from(beginnings.keys(), (key) => key.length))].sort((a, b) => a - b)
  return {
    find: (word) => {
      const found = [...(exact.get(word) ?? [])]
      for (const length of lengths) {
        if (length > word.length) break
        found.push(...(beginnings.get(word.slice(0, length)) ?? []))
      }
      return found
    },
  }
}
