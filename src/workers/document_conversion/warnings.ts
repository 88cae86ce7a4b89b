// What a conversion leaves out or changes: counted by kind, each with its sentence and the first places.
import { wordsFor, type LeftOut } from './left-out.ts'
import type { Warning, WarningCode } from './task.ts'

type More = {
  readonly count?: number
  /** An example, shown for the first few: never free text of the document. */
  readonly sample?: string
  /** A place that a reader of the document can find, see places.ts. */
  readonly place?: string
}
export type Warnings = {
  readonly add: (code: WarningCode, more?: More) => void
  readonly leftOut: (kind: LeftOut, more?: More) => void
  /** One warning per kind, in the order of the first places, so the list is bounded. */
  readonly list: () => Warning[]
}

const MAX_SAMPLES = 5
export const MAX_PLACES = 5

const SENTENCES: Readonly<Record<WarningCode, string>> = {
  CHARACTERS_REPLACED: 'characters that the font lacks are shown as \uFFFD',
  IMAGES_DROPPED: 'images are not drawn: only data: images in PNG or JPEG within the limits are',
  ACTIVE_CONTENT_DROPPED: 'scripts, embedded objects, event handlers or unsafe links are left out',
  REMOTE_CONTENT_DROPPED: 'external references are left out: nothing is fetched',
  CONTENT_DROPPED: 'content is left out',
  CONTENT_SIMPLIFIED: 'parts that cannot be shown are simplified or left out',
  NO_TEXT: 'there are pages without text: they may be scanned',
  DAMAGED: 'there are signs of damage: text may be missing or wrong',
}

type Kept = { readonly code: WarningCode; count: number; placed: number; samples: Set<string>; places: Set<string> }

export function createWarnings(): Warnings {
  const kept = new Map<string, Kept>()
  const add = (code: WarningCode, sentence: string, { count = 1, sample, place }: More): void => {
    const key = `${code} ${sentence}`
    const one = kept.get(key) ?? { code, count: 0, placed: 0, samples: new Set(), places: new Set() }
    kept.set(key, one)
    one.count += count
    if (sample !== undefined && one.samples.size < MAX_SAMPLES) one.samples.add(sample)
    if (place === undefined) return
    if (one.places.size < MAX_PLACES) one.places.add(place)
    if (one.places.has(place)) one.placed += count
  }
  return {
    add: (code, more = {}) => add(code, SENTENCES[code], more),
    leftOut(kind, more = {}) {
      const [code, sentence] = wordsFor(kind)
      add(code, sentence, more)
    },
    list: () => [...kept].map(([key, one]) => warningOf(key.slice(one.code.length + 1), one)),
  }
}

function warningOf(sentence: string, { code, count, placed, samples, places }: Kept): Warning {
  const message = sentence + (samples.size === 0 ? '' : ` (${[...samples].join(', ')})`)
  if (places.size === 0) return { code, message, count }
  const rest = placed < count ? [`and ${count - placed} more`] : []
  return { code, message, count, places: [...places, ...rest] }
}
