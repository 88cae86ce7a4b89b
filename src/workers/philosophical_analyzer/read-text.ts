// Reads a text once and runs all scanners in the same pass.
import { setImmediate as otherCalls } from 'node:timers/promises'
import type { CompiledLexicon } from './compile.ts'
import { createPhraseMatcher } from './phrases.ts'
import type { Evidence, Scan } from './signs.ts'
import { tokensOf, type Token } from './tokens.ts'

/** `marker`: a code of the lexicon, or `lived` or `performed`. */
export type Found = Evidence & { readonly marker: string }
export type Reading = { readonly words: readonly string[]; readonly found: readonly Found[] }
/** `everyday`: phrases that count half. `author`: words of a name, lower case. */
type ReadingOptions = {
  readonly everyday: ReadonlySet<string>
  readonly author: readonly string[]
  readonly withThemes: boolean
}

const WORDS_PER_TURN = 500

/** Rejects with the signal's reason when it aborts. */
export async function readText(
  text: string,
  lexicon: CompiledLexicon,
  { everyday, author, withThemes, signal }: ReadingOptions & { readonly signal: AbortSignal },
): Promise<Reading> {
  signal.throwIfAborted()
  const measures = withThemes ? [...lexicon.markers, ...lexicon.themes] : lexicon.markers
  const scans: (readonly [marker: string, scan: Scan])[] = [
    ...measures.map(({ code, scanner }) => [code, scanner(everyday)] as const),
    ['lived', lexicon.lived(everyday)],
    ['performed', lexicon.performed(everyday)],
    ['performed', thirdPersonScan(author)],
  ]
  const tokens = tokensOf(text)
  for (let at = 0; at < tokens.length; at += 1) {
    // An immediate lets other calls run, and the signal abort.
    if (at % WORDS_PER_TURN === 0) await otherCalls(undefined, { signal })
    for (const [, scan] of scans) scan.at(tokens, at)
  }
  const found = scans.flatMap(([marker, scan]) => scan.found().map((evidence) => ({ ...evidence, marker })))
  return { words: tokens.map(({ word }) => word), found: found.sort((a, b) => a.start - b.start || a.end - b.end) }
}

const THIRD_PERSON = 'author_in_third_person'
const THIRD_PERSON_TIMES = 3

/** A text that names its author is about them rather than by them. The first time is the byline. */
function thirdPersonScan(author: readonly string[]): Scan {
  const nameAt = createPhraseMatcher(author.length === 0 ? [] : [{ phrase: author.join(' '), weight: 1 }])
  const evidence: Evidence[] = []
  let times = 0
  return {
    found: () => evidence,
    at: (tokens: readonly Token[], at) => {
      const hit = nameAt(tokens, at)
      if (hit === undefined) return
      times += 1
      if (times === 1 || times > THIRD_PERSON_TIMES + 1) return
      const [start, end] = [tokens[hit.first]?.start ?? 0, tokens[hit.last]?.end ?? 0]
      evidence.push({ kind: 'pattern', key: THIRD_PERSON, start, end, points: 2 ** (2 - times), denied: false })
    },
  }
}
