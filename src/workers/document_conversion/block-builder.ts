// Gathers the text of a document, in order, into blocks: white space follows the rules of HTML, tables become rows of
// cells.
import { STYLE, type Block, type Picture, type Place, type Run, type Style } from './blocks.ts'
import { createTableBuilder } from './table-builder.ts'
import type { Spanning } from './table-grid.ts'

/** The formatting at one point of a document. `heading`: 0 for none. */
export type Context = {
  readonly style: Style
  readonly indent: number
  readonly quote: number
  readonly heading: number
  readonly preformatted: boolean
}

export type BlockBuilder = {
  readonly text: (text: string, at: Context) => void
  readonly lineBreak: (at: Context) => void
  /** Ends the current block, if there is one. */
  readonly flush: () => void
  /** The number or bullet of the next block. */
  readonly mark: (marker: string | undefined) => void
  readonly rule: (at: Context) => void
  readonly picture: (picture: Picture, alt: string, at: Context) => void
  /** `where`: the place, in words that a reader can find. */
  readonly beginTable: (at: Context, where: string) => void
  readonly endTable: () => void
  readonly beginRow: () => void
  readonly beginCell: (spanning: Spanning) => void
  readonly beginRowGroup: () => void
  readonly endCell: () => void
  readonly finish: () => Block[]
}

/** `onTakenApart` is called for each table that cannot be drawn as a table. */
export function createBlockBuilder(onTakenApart: (where: string) => void = () => undefined): BlockBuilder {
  const tables = createTableBuilder(onTakenApart)
  let runs: Run[] = []
  // Stored separately: reading it from the end of a growing text would copy that text each time.
  let lastCharacter = ''
  let marker: string | undefined
  let begun: Context | undefined

  const push = (block: Block): void => {
    tables.sink().push(block)
  }
  const place = ({ indent, quote }: Context): Place => {
    const taken = marker
    marker = undefined
    return taken === undefined ? { indent, quote } : { indent, quote, marker: taken }
  }
  const flush = (): void => {
    const at = begun
    const gathered = runs
    begun = undefined
    runs = []
    lastCharacter = ''
    if (at === undefined) return
    const block = at.preformatted ? preformatted(gathered, at) : flowing(gathered, at)
    if (block !== undefined) push({ ...place(at), ...block })
  }
  const between =
    <A extends unknown[]>(then: (...args: A) => void) =>
    (...args: A): void => {
      flush()
      then(...args)
    }

  const add = (text: string, at: Context): void => {
    if (text === '') return
    begun ??= at
    lastCharacter = text.at(-1) ?? ''
    const last = runs.at(-1)
    if (last?.style === at.style) runs[runs.length - 1] = { ...last, text: last.text + text }
    else runs.push({ text, style: at.style })
  }

  return {
    flush,
    text: (text, at) => add(at.preformatted ? text.replaceAll('\r', '') : collapsed(text, lastCharacter), at),
    // At the start of a block a line break is not visible.
    lineBreak: (at) => add(runs.length > 0 || at.preformatted ? '\n' : '', at),
    mark: (next) => void (marker = next),
    rule: between((at) => push({ ...place(at), kind: 'rule' })),
    picture: between((picture, alt, at) => push({ ...place(at), kind: 'picture', picture, alt })),
    beginTable: between(({ indent, quote }, where) => tables.beginTable({ indent, quote }, where)),
    endTable: between(tables.endTable),
    beginRow: between(tables.beginRow),
    beginCell: between(tables.beginCell),
    beginRowGroup: between(tables.beginRowGroup),
    endCell: between(tables.endCell),
    finish() {
      flush()
      return tables.finish()
    },
  }
}

// HTML: a run of white space is one space, and no line begins with white space.
function collapsed(text: string, before: string): string {
  const single = text.replaceAll(/[ \t\r\n\f]+/g, ' ')
  return /^[ \n]?$/.test(before) && single.startsWith(' ') ? single.slice(1) : single
}

function flowing(runs: Run[], { heading }: Context) {
  const last = runs.at(-1)
  if (last !== undefined) runs[runs.length - 1] = { ...last, text: last.text.replace(/[ \n]{1,64}$/, '') }
  if (runs.every(({ text }) => text.trim() === '')) return undefined
  if (heading > 0) return { kind: 'heading', level: heading, runs } as const
  return { kind: 'paragraph', runs } as const
}

function preformatted(runs: readonly Run[], { style }: Context) {
  const text = runs.map((run) => run.text).join('')
  const trimmed = text.replace(/^\n/, '').replace(/\n$/, '')
  if (trimmed.trim() === '') return undefined
  return { kind: 'preformatted', text: trimmed, style: style & STYLE.code } as const
}
