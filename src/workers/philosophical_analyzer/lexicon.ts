// The lexicon: the signs of each marker and theme. lexicon.json, unless an operator provides another one.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { createSchemaCheck } from '../../worker/schema-check.ts'
import bundled from './lexicon.json' with { type: 'json' }
import { MAX_PHRASE_WORDS, MAX_WITHIN } from './limits.ts'

const closed = { additionalProperties: false } as const
const WORD = "[\\p{Ll}\\p{Lo}\\p{N}]+('[\\p{Ll}\\p{Lo}]+)?\\*?"
const sentence = Type.String({ minLength: 1, maxLength: 200 })
const name = Type.String({ pattern: '^[a-z][a-z0-9_]{0,39}$' })
const share = Type.Number({ minimum: 0, maximum: 1 })
const word = Type.String({ pattern: `^${WORD}$`, maxLength: 40 })
const phrase = Type.String({ pattern: `^${WORD}( ${WORD}){0,${MAX_PHRASE_WORDS - 1}}$`, maxLength: 120 })

/** Phrases by weight; a word that ends in * matches every word with that beginning. Hyphens are spaces. */
type Phrases = Static<typeof Phrases>
const Phrases = Type.Record(
  Type.String({ pattern: '^[1-9]$' }),
  Type.Array(phrase, { maxItems: 500, uniqueItems: true }),
  closed,
)
/**
 * One word of each group in one sentence, at most `within` words from first to last; `ordered`: in the order of the
 * groups.
 */
export type Pattern = Static<typeof Pattern>
const Pattern = Type.Object(
  {
    name,
    description: sentence,
    near: Type.Array(Type.Array(word, { minItems: 1, maxItems: 50 }), { minItems: 2, maxItems: 4 }),
    within: Type.Integer({ minimum: 2, maximum: MAX_WITHIN }),
    weight: Type.Number({ exclusiveMinimum: 0, maximum: 9 }),
    ordered: Type.Optional(Type.Boolean()),
  },
  closed,
)
const signs = {
  name: sentence,
  description: sentence,
  phrases: Phrases,
  patterns: Type.Optional(Type.Array(Pattern, { maxItems: 20 })),
}
export type Signs = Static<typeof Signs>
const Signs = Type.Object(signs, closed)
/** `scale`: points per 100 words that give a score of 0.63. */
export type ScaledSigns = Static<typeof ScaledSigns>
const ScaledSigns = Type.Object({ ...signs, scale: Type.Number({ exclusiveMinimum: 0, maximum: 100 }) }, closed)

const code = Type.String({ pattern: '^[A-Z]{2,8}$' })
export type Lexicon = Static<typeof Lexicon>
const Lexicon = Type.Object(
  {
    version: Type.String({ minLength: 1, maxLength: 40 }),
    markers: Type.Record(code, ScaledSigns, { ...closed, minProperties: 1, maxProperties: 12 }),
    authenticity: Type.Object({ lived: Signs, performed: Signs }, closed),
    themes: Type.Record(code, ScaledSigns, { ...closed, maxProperties: 12 }),
    /** Phrases that are everyday words in a domain; they count half there. */
    domains: Type.Record(name, Type.Array(phrase, { maxItems: 500 }), { ...closed, maxProperties: 50 }),
    readiness: Type.Record(
      name,
      Type.Object({ strongest_marker: share, authenticity: share, confidence: share }, closed),
      { ...closed, maxProperties: 10 },
    ),
  },
  closed,
)

const check = createSchemaCheck(JSON.parse(JSON.stringify(Lexicon)) as object, 'lexicon')

/** @throws {Error} with the reason */
export function parseLexicon(value: unknown): Lexicon {
  const fault = check(value)
  if (fault !== undefined) throw new Error(fault)
  const lexicon = value as Lexicon
  const both = Object.keys(lexicon.markers).find((item) => Object.hasOwn(lexicon.themes, item))
  if (both !== undefined) throw new Error(`lexicon: ${both} is both a marker and a theme; rename one`)
  const { markers, themes, authenticity } = lexicon
  for (const [of, { phrases }] of Object.entries({ ...markers, ...themes, ...authenticity })) {
    const all = Object.values(phrases).flat()
    const twice = all.find((item, at) => all.indexOf(item) !== at)
    if (twice !== undefined) throw new Error(`lexicon: duplicate phrase "${twice}" in ${of}`)
  }
  return lexicon
}

export const bundledLexicon: Lexicon = parseLexicon(bundled)

/** The operator's `lexicon.json` in this folder, else the bundled one. @throws {Error} when it exists and is invalid */
export function loadLexicon(dir: string): Lexicon {
  const file = join(dir, 'lexicon.json')
  try {
    return parseLexicon(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause: unknown) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return bundledLexicon
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
