// State while HTML is read: per open tag, and shared by all of them.
import type { BlockBuilder, Context } from './block-builder.ts'
import type { PictureReader } from './pictures.ts'
import type { Trail } from './places.ts'
import type { Warnings } from './warnings.ts'

export type List = { readonly ordered: boolean; readonly format: string; next: number }
export type Link = { readonly target: string; text: string }
export type State = Context & {
  readonly list: List | undefined
  readonly link: Link | undefined
  readonly title: boolean
}
export type Attributes = Readonly<Record<string, string>>
export type Walk = {
  readonly builder: BlockBuilder
  readonly pictures: PictureReader
  readonly warnings: Warnings
  readonly trail: Trail
}

/** Adds text to the document. */
export function write(text: string, state: State, { builder, trail }: Walk): void {
  if (state.link !== undefined && state.link.text.length < state.link.target.length + 64) state.link.text += text
  trail.text(text, state.heading > 0)
  builder.text(text, state)
}
