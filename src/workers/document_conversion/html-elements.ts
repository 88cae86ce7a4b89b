// What each drawn tag does to the document at its start and at its end.
import { STYLE, type Style } from './blocks.ts'
import { inputText, isChoice, writeField } from './html-forms.ts'
import { markerOf, orderedList } from './html-lists.ts'
import { write, type Attributes, type Link, type State, type Walk } from './html-state.ts'
import { BLOCK, headingLevel, STYLE_OF } from './html-tags.ts'
import { MAX_INDENT } from './limits.ts'
import { readLinkTarget, saysTarget } from './links.ts'

/** The limit of the HTML standard. */
const MAX_COLSPAN = 1000
const MAX_ROWSPAN = 65_534

/** Returns the state inside of the tag. */
export function open(tag: string, attributes: Attributes, outer: State, walk: Walk): State {
  const { builder, trail } = walk
  const level = headingLevel(tag)
  if (BLOCK.has(tag)) {
    builder.flush()
    trail.apart()
  }
  if (level !== undefined) trail.heading()
  const style = outer.style | (STYLE_OF[tag] ?? 0) | inlineStyle(attributes, walk)
  const at = { outer, state: { ...outer, style, heading: level ?? outer.heading } }
  return (
    openList(tag, attributes, at, walk) ?? openTable(tag, attributes, at, walk) ?? openText(tag, attributes, at, walk)
  )
}

/** `outer`: around the tag; `state`: inside of it, before the tag itself has changed anything. */
type At = { readonly outer: State; readonly state: State }

function openText(tag: string, attributes: Attributes, { outer, state }: At, walk: Walk): State {
  const { builder, trail, warnings } = walk
  switch (tag) {
    case 'br':
      builder.lineBreak(outer)
      trail.apart()
      return outer
    case 'hr':
      builder.rule(outer)
      return outer
    case 'img':
      drawOrName(attributes, outer, walk)
      return outer
    case 'input':
      drawInput(attributes, outer, walk)
      return outer
    case 'pre':
    case 'textarea':
      return { ...state, preformatted: true }
    case 'blockquote':
      return { ...state, quote: Math.min(outer.quote + 1, MAX_INDENT) }
    case 'a':
      return { ...state, link: linkOf(attributes['href'], walk) }
    case 'title':
      return { ...state, title: true }
    case 'q':
      write('\u201c', state, walk)
      return state
    case 'rt':
      write('(', state, walk)
      return state
    case 'bdo':
      warnings.leftOut('direction', { place: trail.place() })
      return state
    default:
      return state
  }
}

/** Undefined: not a list tag. */
function openList(tag: string, attributes: Attributes, { outer, state }: At, walk: Walk): State | undefined {
  const { builder, trail, warnings } = walk
  const indent = Math.min(outer.indent + 1, MAX_INDENT)
  switch (tag) {
    case 'dd':
      return { ...state, indent }
    case 'ul':
    case 'menu':
    case 'dir':
      return { ...state, indent, list: { ordered: false, format: '', next: 1 } }
    case 'ol':
      if ('reversed' in attributes) warnings.leftOut('numbers', { place: trail.place() })
      return { ...state, indent, list: orderedList(attributes) }
    case 'li':
      builder.mark(markerOf(outer.list, outer.indent, attributes))
      return state
    default:
      return undefined
  }
}

/** Undefined: not a table tag. */
function openTable(tag: string, attributes: Attributes, { outer, state }: At, walk: Walk): State | undefined {
  const { builder, trail } = walk
  switch (tag) {
    case 'table':
      builder.beginTable(outer, trail.place())
      return { ...state, list: undefined }
    case 'tr':
      builder.beginRow()
      return state
    case 'td':
    case 'th':
      builder.beginCell({
        span: integer(attributes['colspan'], 1, 1, MAX_COLSPAN),
        rows: integer(attributes['rowspan'], 1, 0, MAX_ROWSPAN),
      })
      return state
    case 'thead':
    case 'tbody':
    case 'tfoot':
      builder.beginRowGroup()
      return state
    default:
      return undefined
  }
}

export function close(tag: string, state: State, walk: Walk): void {
  const { builder, trail } = walk
  if (BLOCK.has(tag)) trail.apart()
  switch (tag) {
    case 'table':
      builder.endTable()
      break
    case 'td':
    case 'th':
      builder.endCell()
      break
    case 'li':
      builder.flush()
      builder.mark(undefined)
      break
    case 'a':
      if (state.link !== undefined && state.link.text.trim() !== '' && !saysTarget(state.link.text, state.link.target))
        builder.text(` (${state.link.target})`, state)
      break
    case 'q':
      write('\u201d', state, walk)
      break
    case 'rt':
      write(')', state, walk)
      break
    default:
      if (BLOCK.has(tag)) builder.flush()
  }
}

// The styles that change what a text says, not only how it looks.
function inlineStyle(attributes: Attributes, { warnings, trail }: Walk): Style {
  const css = attributes['style']?.slice(0, 1024) ?? ''
  if (css === '') return STYLE.plain
  if (/visibility\s*:\s*hidden/i.test(css)) warnings.leftOut('uncovered', { place: trail.place() })
  return (
    (/text-decoration(?:-line)?\s*:[^;]*line-through/i.test(css) ? STYLE.strike : STYLE.plain) |
    (/vertical-align\s*:\s*super/i.test(css) ? STYLE.sup : STYLE.plain) |
    (/vertical-align\s*:\s*sub/i.test(css) ? STYLE.sub : STYLE.plain)
  )
}

function linkOf(href: string | undefined, { warnings, trail }: Walk): Link | undefined {
  if (href === undefined) return undefined
  const target = readLinkTarget(href)
  if (target.kind === 'safe') return { target: target.text, text: '' }
  const more = { place: trail.place() }
  if (target.kind === 'unsafe') warnings.add('ACTIVE_CONTENT_DROPPED', more)
  // A link within the document has no target to show.
  else if (!/^\s*(?:#|$)/.test(href)) warnings.leftOut('relativeLink', more)
  return undefined
}

function drawInput(attributes: Attributes, state: State, walk: Walk): void {
  const text = inputText(attributes)
  if (text === undefined) walk.warnings.leftOut('password', { place: walk.trail.place() })
  else if (isChoice(attributes)) write(text, state, walk)
  else writeField(text, state, walk)
}

function drawOrName(attributes: Attributes, state: State, walk: Walk): void {
  const { src = '', alt = '' } = attributes
  const shown = alt.trim()
  const more = { place: walk.trail.place() }
  if (/^\s*data:/i.test(src)) {
    const picture = walk.pictures.read(src)
    if (picture !== undefined) {
      walk.builder.picture(picture, shown, state)
      return
    }
    walk.warnings.add('IMAGES_DROPPED', more)
  } else if (src !== '' || 'srcset' in attributes) walk.warnings.add('REMOTE_CONTENT_DROPPED', more)
  if (shown !== '') write(`[${shown}]`, state, walk)
}

function integer(text: string | undefined, fallback: number, low: number, high: number): number {
  const value = /^\s*\d{1,7}\s*$/.test(text ?? '') ? Number(text) : fallback
  return Math.min(Math.max(value, low), high)
}
