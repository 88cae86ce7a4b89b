// The signs of one marker or theme in a text: every phrase and pattern with its position and points.
import type { Signs } from './lexicon.ts'
import { isDenied } from './negation.ts'
import { createPatternMatcher } from './patterns.ts'
import { createPhraseMatcher } from './phrases.ts'
import type { Token } from './tokens.ts'

/** `key`: the phrase of the lexicon or the name of the pattern. `start`, `end`: UTF-16 offsets in the text. */
export type Evidence = {
  readonly kind: 'phrase' | 'pattern'
  readonly key: string
  readonly start: number
  readonly end: number
  readonly points: number
  readonly denied: boolean
}
/** Receives each position of a text in order, then returns what it found. */
export type Scan = {
  readonly at: (tokens: readonly Token[], at: number) => void
  readonly found: () => readonly Evidence[]
}
export type Scanner = (everyday: ReadonlySet<string>) => Scan

/** Everyday phrases of the domain count this share of their weight. */
const EVERYDAY = 0.5
/** The first occurrence counts in full, each further one half of the one before; none after the third. */
const MAX_TIMES = 3

/** `deniable`: a negation before it cancels it. */
export function createScanner({ phrases, patterns = [] }: Signs, { deniable }: { deniable: boolean }): Scanner {
  const weighted = Object.entries(phrases).flatMap(([weight, list]) =>
    list.map((phrase) => ({ phrase, weight: Number(weight) })),
  )
  const phraseAt = createPhraseMatcher(weighted)
  const patternScans = createPatternMatcher(patterns)

  return (everyday) => {
    const patternsAt = patternScans()
    const times = new Map<string, number>()
    const evidence: Evidence[] = []
    let free = 0

    return {
      at: (tokens, at) => {
        const hit = at >= free ? phraseAt(tokens, at) : undefined
        if (hit !== undefined) {
          free = hit.last + 1
          const weight = everyday.has(hit.phrase) ? hit.weight * EVERYDAY : hit.weight
          add(tokens, {
            kind: 'phrase',
            key: hit.phrase,
            ...hit,
            weight,
            denied: deniable && isDenied(tokens, hit.first, hit.first),
          })
        }
        for (const { pattern, first, last } of patternsAt(tokens, at)) {
          const denied = deniable && isDenied(tokens, first, last)
          add(tokens, { kind: 'pattern', key: pattern.name, first, last, weight: pattern.weight, denied })
        }
      },
      found: () => evidence,
    }

    function add(
      tokens: readonly Token[],
      hit: Pick<Evidence, 'kind' | 'key' | 'denied'> & { first: number; last: number; weight: number },
    ): void {
      const { kind, key, first, last, weight, denied } = hit
      const counted = `${kind} ${key} ${denied}`
      const time = times.get(counted) ?? 0
      if (time >= MAX_TIMES) return
      times.set(counted, time + 1)
      const points = denied ? 0 : weight / 2 ** time
      evidence.push({ kind, key, start: tokens[first]?.start ?? 0, end: tokens[last]?.end ?? 0, points, denied })
    }
  }
}
