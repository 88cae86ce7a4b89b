// A plain-text query as an FTS5 expression. Words consist of letters, marks and digits only and are quoted: no part of
// the query is ever parsed as FTS5 syntax.
import { SearchFault } from './fault.ts'
import { MAX_QUERY_WORDS } from './limits.ts'
import { STOP_WORDS } from './stop-words.ts'

/**
 * The distinct words of a query as written, without stop words (unless there are no others).
 * @throws {SearchFault} LIMIT_EXCEEDED for too many words
 */
export function wordsOf(query: string): readonly string[] {
  const words = new Map<string, string>()
  for (const [word] of query.matchAll(/[\p{L}\p{N}\p{M}\p{Co}]+/gu)) {
    const key = word.toLowerCase()
    if (!words.has(key)) words.set(key, word)
  }
  if (words.size > MAX_QUERY_WORDS) {
    throw new SearchFault('LIMIT_EXCEEDED', `a query may have at most ${MAX_QUERY_WORDS} different words`)
  }
  const telling = [...words].filter(([key]) => !STOP_WORDS.has(key))
  return (telling.length > 0 ? telling : [...words]).map(([, word]) => word)
}

/** An expression that matches any of the words; undefined for none. */
export function matchAny(words: Iterable<string>): string | undefined {
  const quoted = Array.from(words, (word) => `"${word.replaceAll('"', '""')}"`)
  return quoted.length === 0 ? undefined : quoted.join(' OR ')
}
