// A document as a flat list of blocks. Every text format becomes such a list before it is drawn or written as text.

/** Flags of a run's style, combined by addition. `box`: the text is a check box, as the pen prepares it. */
export const STYLE = {
  plain: 0,
  bold: 1,
  italic: 2,
  code: 4,
  underline: 8,
  strike: 16,
  sub: 32,
  sup: 64,
  box: 128,
} as const
export type Style = number

/** Text of one style. A line break is `\n`. */
export type Run = { readonly text: string; readonly style: Style }
/** `column`: the first column, from 0; `span` and `rows`: how many columns and rows the cell takes. */
export type Cell = {
  readonly runs: readonly Run[]
  readonly column: number
  readonly span: number
  readonly rows: number
}
/** The indentation of a block, and the number or bullet before it. */
export type Place = { readonly indent: number; readonly quote: number; readonly marker?: string }
export type Picture = { readonly bytes: Uint8Array; readonly width: number; readonly height: number }

export type Block = Place &
  (
    | { readonly kind: 'paragraph'; readonly runs: readonly Run[] }
    | { readonly kind: 'heading'; readonly level: number; readonly runs: readonly Run[] }
    /** Line breaks and spaces are kept; `style` applies to the whole text. */
    | { readonly kind: 'preformatted'; readonly text: string; readonly style: Style }
    | { readonly kind: 'table'; readonly rows: readonly (readonly Cell[])[] }
    | { readonly kind: 'picture'; readonly picture: Picture; readonly alt: string }
    | { readonly kind: 'rule' }
  )
