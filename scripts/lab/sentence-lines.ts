// One sentence per line in Markdown, so that a diff shows the changed sentence. Tables, code and headings are
// unchanged.

const FENCE = /^\s*(?:```|~~~)/
const LIST_ITEM = /^(?<indent>\s*)(?<marker>[-*+]|\d+[.)]) +/
/** Lines that never belong to a paragraph: table rows, headings, HTML and comments, link definitions, blank lines. */
const APART = /^\s*(?:\||#{1,6} |<|\[[^\]]+\]: |$)/
const CODE_OR_LINK = /`[^`]*`|\[[^\]]*\]\([^)]*\)/g
/** The end of a sentence, its closing marks, and the start of the next one. */
const BOUNDARY =
  /(?<word>\S*(?:[!?…]|(?<!\s\d{1,9})\.|\.(?! \d)))(?<close>["”')\]*_]*) +(?=["“'([*_]*(?:[\p{Lu}\d]|[*_]*\u0001))/gu
const ABBREVIATION = /^["“'([*_]*(?:e\.g|i\.e|etc|cf|vs|approx|no)\.$/i
/** A bold heading at the start of a paragraph, `**Limits.**`, stays with its first sentence. */
const RUN_IN_HEAD = /^\*\*(?:[^\s*]+ ?){1,6}\*\*$/

/** The Markdown with each sentence of its paragraphs and lists on its own line. */
export function oneSentencePerLine(markdown: string): string {
  const out: string[] = []
  let fenced = false
  let paragraph: { first: string; rest: string; text: string } | undefined
  const flush = (): void => {
    if (paragraph === undefined) return
    const { first, rest, text } = paragraph
    out.push(...sentencesOf(text).map((sentence, at) => (at === 0 ? first : rest) + sentence))
    paragraph = undefined
  }
  for (const line of markdown.split('\n')) {
    const fence = FENCE.test(line)
    const item = LIST_ITEM.exec(line)?.[0]
    if (fence) fenced = !fenced
    if (fence || fenced || APART.test(line)) {
      flush()
      out.push(line)
    } else if (item !== undefined || paragraph === undefined) {
      flush()
      const first = item ?? /^\s*/.exec(line)?.[0] ?? ''
      paragraph = { first, rest: ' '.repeat(first.length), text: line.slice(first.length) }
    } else paragraph.text += ` ${line.trim()}`
  }
  flush()
  return out.join('\n')
}

/**
 * The sentences of one paragraph. Code and links do not end a sentence: placeholders replace them during the search.
 */
function sentencesOf(text: string): string[] {
  const kept: string[] = []
  const masked = text.replaceAll(CODE_OR_LINK, (part) => `\u0001${kept.push(part) - 1}\u0002`)
  const sentences: string[] = []
  let from = 0
  for (const { index, 0: end, groups } of masked.matchAll(BOUNDARY)) {
    const sentence = masked.slice(from, index + end.length).trimEnd()
    if (ABBREVIATION.test(groups?.['word'] ?? '') || RUN_IN_HEAD.test(sentence)) continue
    sentences.push(sentence)
    from = index + end.length
  }
  const unmask = (sentence: string): string =>
    sentence.replaceAll(/\u0001(\d+)\u0002/g, (_mark, at: string) => kept[Number(at)] ?? '')
  return [...sentences, masked.slice(from)].map(unmask)
}
