// The analysis as a few sentences: the strongest markers and their words, authenticity, and confidence.
import type { CompiledLexicon } from './compile.ts'
import type { Found } from './read-text.ts'
import type { Output } from './schemas.ts'

const PHRASES_SHOWN = 3
const MAX_PHRASE_LENGTH = 60
/** Markers below this score are not mentioned. */
const MIN_SCORE = 0.15
const UNSURE = 0.3
const FOREIGN = 0.5

type Facts = Pick<Output, 'dna_markers' | 'authenticity_score' | 'confidence' | 'explanation'> & {
  readonly text: string
  readonly found: readonly Found[]
}

export function summaryOf(lexicon: CompiledLexicon, facts: Facts): string {
  return [...markerSentences(lexicon, facts), authenticitySentence(facts), confidenceSentence(facts)].join(' ')
}

function markerSentences({ markers }: CompiledLexicon, { dna_markers, text, found }: Facts): string[] {
  const ranked = markers
    .map(({ code, name }) => ({ code, name, score: dna_markers[code] ?? 0 }))
    .filter(({ score }) => score >= MIN_SCORE)
    .sort((a, b) => b.score - a.score)
    .slice(0, 2)
  if (ranked.length === 0) return ['No marker stands out.']
  return ranked.map(({ code, name, score }, at) => {
    const by = strongest(found, code, text)
    return `${at === 0 ? 'Strongest' : 'Then'}: ${name} (${code} ${score.toFixed(2)}), by ${by}.`
  })
}

function authenticitySentence({ authenticity_score, explanation, text, found }: Facts): string {
  const { lived_points, performed_points } = explanation
  if (lived_points + performed_points === 0) return 'No evidence shows whether it is lived or performed.'
  const side = lived_points >= performed_points ? 'lived' : 'performed'
  return `It reads ${side} (authenticity ${authenticity_score.toFixed(2)}), by ${strongest(found, side, text)}.`
}

function confidenceSentence({ confidence, explanation: { words, english_share, evidence } }: Facts): string {
  const from = `from ${words} words and ${evidence} pieces of evidence`
  const foreign = english_share < FOREIGN ? ' The text does not look English, the only language of the lexicon.' : ''
  const unsure = confidence < UNSURE ? ': too little to rely on' : ''
  return `Confidence ${confidence.toFixed(2)} ${from}${unsure}.${foreign}`
}

/** The evidence with most points, quoted from the text. */
function strongest(found: readonly Found[], of: string, text: string): string {
  const own = found.filter(({ marker, points }) => marker === of && points > 0).sort((a, b) => b.points - a.points)
  const phrases = own.map(({ start, end }) => text.slice(start, Math.min(end, start + MAX_PHRASE_LENGTH)))
  const shown = [...new Set(phrases.map((phrase) => phrase.replaceAll(/\s+/g, ' ')))].slice(0, PHRASES_SHOWN)
  return shown.map((phrase) => `“${phrase}”`).join(', ')
}
