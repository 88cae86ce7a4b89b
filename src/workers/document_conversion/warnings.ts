// What a conversion leaves out or changes: counted by kind, each with its sentence.
import type { Warning, WarningCode } from './task.ts'

export type Warnings = {
  /** `sample` is shown for the first few: never free text of the document. */
  readonly add: (code: WarningCode, count?: number, sample?: string) => void
  readonly list: () => Warning[]
}

const MAX_SAMPLES = 5

const SENTENCES: Readonly<Record<WarningCode, string>> = {
  CHARACTERS_REPLACED: 'characters that the font lacks are shown as \uFFFD',
  IMAGES_DROPPED: 'images are not drawn: only data: images in PNG or JPEG within the limits are',
  ACTIVE_CONTENT_DROPPED: 'scripts, embedded objects, event handlers or unsafe links are left out',
  REMOTE_CONTENT_DROPPED: 'references to other places are left out: nothing is fetched',
  CONTENT_SIMPLIFIED: 'parts that cannot be shown are simplified or left out',
  NO_TEXT: 'there are pages without text: they may be scanned',
  DAMAGED: 'there are signs of damage: text may be missing or wrong',
}

export function createWarnings(): Warnings {
  const counts = new Map<WarningCode, number>()
  const samples = new Map<WarningCode, Set<string>>()
  return {
    add(code, count = 1, sample) {
      counts.set(code, (counts.get(code) ?? 0) + count)
      if (sample === undefined) return
      const known = samples.get(code) ?? new Set()
      if (known.size < MAX_SAMPLES) samples.set(code, known.add(sample))
    },
    list: () =>
      [...counts].map(([code, count]) => {
        const shown = [...(samples.get(code) ?? [])]
        const message = SENTENCES[code] + (shown.length === 0 ? '' : ` (${shown.join(', ')})`)
        return { code, message, count }
      }),
  }
}
