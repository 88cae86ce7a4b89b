// Prepares a lexicon for reading texts, once, when the worker is created.
import type { Lexicon, ScaledSigns, Signs } from './lexicon.ts'
import { createScanner, type Scanner } from './signs.ts'

/** One marker or theme. */
export type Measure = {
  readonly code: string
  readonly name: string
  readonly scale: number
  readonly scanner: Scanner
}
export type CompiledLexicon = {
  readonly version: string
  readonly markers: readonly Measure[]
  readonly themes: readonly Measure[]
  readonly lived: Scanner
  readonly performed: Scanner
  /** The everyday phrases of each domain. */
  readonly domains: ReadonlyMap<string, ReadonlySet<string>>
  readonly readiness: Lexicon['readiness']
  /** The description of a pattern of a marker. */
  readonly describe: (marker: string, pattern: string) => string | undefined
}

export function compileLexicon(lexicon: Lexicon): CompiledLexicon {
  const { markers, themes, authenticity } = lexicon
  const all: Readonly<Record<string, Signs>> = { ...markers, ...themes, ...authenticity }
  return {
    version: lexicon.version,
    markers: measuresOf(markers),
    themes: measuresOf(themes),
    lived: createScanner(authenticity.lived, { deniable: false }),
    performed: createScanner(authenticity.performed, { deniable: false }),
    domains: new Map(Object.entries(lexicon.domains).map(([domain, phrases]) => [domain, new Set(phrases)])),
    readiness: lexicon.readiness,
    describe: (marker, pattern) => all[marker]?.patterns?.find(({ name }) => name === pattern)?.description,
  }
}

function measuresOf(signs: Readonly<Record<string, ScaledSigns>>): Measure[] {
  return Object.entries(signs).map(([code, own]) => ({
    code,
    name: own.name,
    scale: own.scale,
    scanner: createScanner(own, { deniable: true }),
  }))
}
