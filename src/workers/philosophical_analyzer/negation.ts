// "Space has no meaning" is not a sign of meaning: negated phrases do not count.
import type { Token } from './tokens.ts'

const DENIALS = new Set(['not', 'no', 'never', 'without', 'neither', 'nor', 'cannot', 'hardly', 'nothing'])
/** "Not only" and "not just" are not negations. */
const SOFTENERS = new Set(['only', 'just', 'merely', 'simply'])
const REACH = 3

/**
 * Whether one of the few words before `first`, or from there to `inside`, negates what follows in the same sentence.
 */
export function isDenied(tokens: readonly Token[], first: number, inside: number): boolean {
  for (let at = Math.max(0, first - REACH); at < inside; at += 1) {
    const word = tokens[at]?.word ?? ''
    const denies = DENIALS.has(word) || word.endsWith("n't")
    if (denies && tokens[at]?.sentence === tokens[first]?.sentence && !SOFTENERS.has(tokens[at + 1]?.word ?? ''))
      return true
  }
  return false
}
