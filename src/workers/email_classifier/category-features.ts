// Features of a mail for the category model: the sender's own words in their base form. The model is trained with this
// file.
import { ownWords, type MailText } from './mail.ts'
import { wordsOf } from './words.ts'

/** The beginning of a mail shows its category; the rest is details. */
const MAX_CHARACTERS = 8_000
// These words are in every mail; in few training lines they would seem significant. Pronouns are kept: they show who
// writes to whom.
const FILLERS: ReadonlySet<string> = new Set(
  `a about after all also an and any are as at be because been before being but by can could did do does doing done down each
  even ever for from further had has have having here how if in into is it its just like may might more most much must no not
  now of off on once only onto or other our out over own same should so some such than that the their them then there these
  they this those through to too under until up upon very was were what when where which while who whom why will with within
  would yet`.split(/\s+/),
)
const ADDRESS = /https?:\S+|[\w.+-]{1,64}@[\w.-]{1,255}/g

export function categoryTerms({ subject, body }: MailText): Set<string> {
  const text = `${subject}\n${ownWords(body).slice(0, MAX_CHARACTERS)}`.replaceAll(ADDRESS, ' ')
  const words = wordsOf(text).map((word) => word.toLowerCase())
  return new Set(words.filter((word) => !FILLERS.has(word)).map(singular))
}

// A minimal stemmer for English plurals and third persons; `pass` keeps its end.
function singular(word: string): string {
  return word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word
}
