// The dictionary of an index, for its writer: each distinct text has a number, and each distinct combination of traits (a
// shape) has one too. A log has few of both, so that a query looks at them instead of at the records.
import type { DatabaseSync } from 'node:sqlite'
import type { Traits } from './traits.ts'

/**
 * `base`: the shape of the decision to which an outcome belongs; NO_BASE for other records, UNKNOWN_BASE for an outcome whose
 * decision was not found.
 */
export const NO_BASE = -1
export const UNKNOWN_BASE = 0

export type ShapeWriter = {
  /** The number of the shape with these traits, in which there is one record more. */
  readonly count: (traits: Traits, base: number) => number
  /** The same without a record: that of a decision in another segment. */
  readonly numberOf: (traits: Traits, base: number) => number
  /** Writes the counts. */
  readonly flush: () => void
}

/** Against a log whose texts are all different: what is not in memory is looked up. */
const MAX_KNOWN = 50_000

export function createShapeWriter(database: DatabaseSync): ShapeWriter {
  const selectTerm = database.prepare('SELECT id FROM term WHERE trait = ? AND text = ?')
  const insertTerm = database.prepare('INSERT INTO term (trait, text) VALUES (?, ?)')
  const selectShape = database.prepare(
    `SELECT id FROM shape WHERE who = ? AND caps = ? AND event = ? AND decision = ? AND outcome = ? AND workers = ?
      AND status = ? AND texts = ? AND base = ?`,
  )
  const insertShape = database.prepare(
    `INSERT INTO shape (who, caps, event, decision, outcome, workers, status, texts, base, count)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
  )
  const addCount = database.prepare('UPDATE shape SET count = count + ? WHERE id = ?')
  const known = new Map<string, number>()
  const counts = new Map<number, number>()
  return {
    count(traits, base) {
      const shape = numberOf(traits, base)
      counts.set(shape, (counts.get(shape) ?? 0) + 1)
      return shape
    },
    numberOf,
    flush() {
      for (const [shape, more] of counts) addCount.run(more, shape)
      counts.clear()
    },
  }

  function numberOf(traits: Traits, base: number): number {
    const { who, caps, event, decision, outcome, workers, status, texts } = traits
    const key = [who, caps, event, decision, outcome, workers, status, texts, base].join('\0')
    return remembered(key, () => {
      const terms = [term('who', who), term('caps', caps), term('event', event), term('decision', decision)]
      const more = [term('outcome', outcome), term('workers', workers), status, term('texts', texts), base]
      const found = selectShape.get(...terms, ...more)?.['id'] ?? insertShape.run(...terms, ...more).lastInsertRowid
      return Number(found)
    })
  }

  /** 0 for the text of a record that has none. */
  function term(trait: string, text: string): number {
    if (text === '') return 0
    return remembered(`${trait}\0${text}`, () =>
      Number(selectTerm.get(trait, text)?.['id'] ?? insertTerm.run(trait, text).lastInsertRowid),
    )
  }

  function remembered(key: string, find: () => number): number {
    const before = known.get(key)
    if (before !== undefined) return before
    if (known.size >= MAX_KNOWN) known.clear()
    const found = find()
    known.set(key, found)
    return found
  }
}
