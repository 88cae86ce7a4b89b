// Features of a mail for the spam model: its words, with those of the subject marked, and its style.
// Headers are left out: in the corpus they identify mailing lists, not spam.
import type { MailText } from './mail.ts'
import { wordsOf } from './words.ts'

const LINK = /https?:\/\/([^\s/:"'<>)\]]{1,255})/gi

/** Terms of the model; `s:` marks the subject, `u:` a linked site, `^` the style. */
export function spamTerms({ subject, body }: MailText): Set<string> {
  const words = wordsOf(body)
  const terms = new Set(words.map((word) => word.toLowerCase()))
  for (const word of wordsOf(subject)) terms.add(`s:${word.toLowerCase()}`)
  const links = [...body.matchAll(LINK)]
  for (const [, host = ''] of links) terms.add(`u:${siteOf(host)}`)
  for (const way of waysOfWriting({ subject, body }, words, links.length)) terms.add(way)
  return terms
}

function waysOfWriting({ subject, body }: MailText, words: readonly string[], links: number): string[] {
  const count = Math.max(1, words.length)
  const shouted = words.filter((word) => /^[A-Z]{3,}$/.test(word)).length / count
  const exclaimed = (body.match(/!/g)?.length ?? 0) / count
  const ways = [
    `^caps${stepOf(shouted, [0.03, 0.1, 0.3])}`,
    `^exclaimed${stepOf(exclaimed, [0.001, 0.02, 0.05])}`,
    `^links${Math.min(3, links)}`,
    `^length${Math.round(Math.log2(words.length + 1))}`,
    `^quotes${/^>/m.test(body) ? 1 : 0}`,
  ]
  if (subject.includes('!')) ways.push('^subject!')
  if (/[A-Z]{3}/.test(subject) && subject === subject.toUpperCase()) ways.push('^subjectcaps')
  return ways
}

function stepOf(value: number, bounds: readonly number[]): number {
  return bounds.filter((bound) => value >= bound).length
}

// The last two labels: those before them are often made up for each mail.
function siteOf(host: string): string {
  return host.toLowerCase().split('.').slice(-2).join('.').slice(0, 40)
}
