// HTML to blocks, by an allow list and without ever loading anything. Works on the parser's events, so that no nesting of
// tags becomes a nesting of calls.
import { Parser } from 'htmlparser2'
import type { Block } from './blocks.ts'
import { createBlockBuilder, type BlockBuilder, type Context } from './block-builder.ts'
import { ACTIVE, BLOCK, DROPPED, headingLevel, LOADING, STYLE_OF } from './html-tags.ts'
import { createPictureReader, type PictureReader } from './pictures.ts'
import { MAX_HTML_DEPTH, MAX_INDENT, MAX_TABLE_COLUMNS } from './limits.ts'
import { readLinkTarget, saysTarget } from './links.ts'
import { limitFault } from './task.ts'
import type { Warnings } from './warnings.ts'

export type HtmlDocument = { readonly blocks: Block[]; readonly title: string | undefined }

type List = { readonly ordered: boolean; next: number }
type Link = { readonly target: string; text: string }
type State = Context & { readonly list: List | undefined; readonly link: Link | undefined; readonly title: boolean }
type Attributes = Readonly<Record<string, string>>
type Walk = {
  readonly builder: BlockBuilder
  readonly pictures: PictureReader
  readonly warnings: Warnings
}

const MAX_TITLE_LENGTH = 200
/** As HTML has it. */
const MAX_ROWSPAN = 65_534
/** All of them are in the font. */
const BULLETS = ['\u2022', '\u2013', '-']
const ROOT: State = {
  style: 0,
  indent: 0,
  quote: 0,
  heading: 0,
  preformatted: false,
  list: undefined,
  link: undefined,
  title: false,
}

/** @throws {ConversionFault} LIMIT_EXCEEDED when tags are nested too deeply */
export function htmlToBlocks(html: string, warnings: Warnings): HtmlDocument {
  const walk: Walk = { builder: createBlockBuilder(), pictures: createPictureReader(), warnings }
  const outer: State[] = []
  let state = ROOT
  let title = ''
  /** Open tags since the one that is left out, itself included. */
  let dropping = 0

  const parser = new Parser({
    onopentag(tag, attributes) {
      outer.push(state)
      if (outer.length > MAX_HTML_DEPTH) throw limitFault(`HTML tags are nested deeper than ${MAX_HTML_DEPTH}`)
      if (dropping > 0 || isDropped(tag, attributes)) {
        dropping += 1
        if (dropping === 1 || ACTIVE.has(tag)) warnOf(tag, attributes, warnings)
      } else {
        countHandlers(attributes, warnings)
        state = open(tag, attributes, state, walk)
      }
    },
    ontext(text) {
      if (dropping > 0) return
      if (state.title) title = (title + text).slice(0, MAX_TITLE_LENGTH)
      else write(text, state, walk)
    },
    onclosetag(tag) {
      if (dropping > 0) dropping -= 1
      else close(tag, state, walk)
      state = outer.pop() ?? ROOT
    },
  })
  parser.write(html)
  parser.end()
  const bareTitle = title.replaceAll(/\s+/g, ' ').trim()
  return { blocks: walk.builder.finish(), title: bareTitle === '' ? undefined : bareTitle }
}

function write(text: string, state: State, { builder }: Walk): void {
  if (state.link !== undefined && state.link.text.length < state.link.target.length + 64) state.link.text += text
  builder.text(text, state)
}

function isDropped(tag: string, attributes: Attributes): boolean {
  if (DROPPED.has(tag) || 'hidden' in attributes) return true
  return /display\s*:\s*none/i.test(attributes['style']?.slice(0, 1024) ?? '')
}

function warnOf(tag: string, attributes: Attributes, warnings: Warnings): void {
  const refreshes = tag === 'meta' && /^\s*refresh\s*$/i.test(attributes['http-equiv'] ?? '')
  if (ACTIVE.has(tag)) warnings.add('ACTIVE_CONTENT_DROPPED')
  else if (LOADING.has(tag) || refreshes) warnings.add('REMOTE_CONTENT_DROPPED')
  else if (tag === 'svg' || tag === 'math' || tag === 'canvas') warnings.add('CONTENT_SIMPLIFIED')
}

function countHandlers(attributes: Attributes, warnings: Warnings): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) warnings.add('ACTIVE_CONTENT_DROPPED')
    else if (name === 'background' || (name === 'style' && /url\s*\(/i.test(value))) {
      warnings.add('REMOTE_CONTENT_DROPPED')
    }
  }
}

function open(tag: string, attributes: Attributes, outer: State, walk: Walk): State {
  const { builder } = walk
  if (BLOCK.has(tag)) builder.flush()
  const state = { ...outer, style: outer.style | (STYLE_OF[tag] ?? 0), heading: headingLevel(tag) ?? outer.heading }
  const deeper = Math.min(outer.indent + 1, MAX_INDENT)
  switch (tag) {
    case 'br':
      builder.lineBreak(outer)
      return outer
    case 'hr':
      builder.rule(outer)
      return outer
    case 'img':
      drawOrName(attributes, outer, walk)
      return outer
    case 'pre':
    case 'textarea':
      return { ...state, preformatted: true }
    case 'blockquote':
      return { ...state, quote: Math.min(outer.quote + 1, MAX_INDENT) }
    case 'dd':
      return { ...state, indent: deeper }
    case 'ul':
    case 'menu':
      return { ...state, indent: deeper, list: { ordered: false, next: 1 } }
    case 'ol':
      return { ...state, indent: deeper, list: { ordered: true, next: integer(attributes['start'], 1, 1, 1_000_000) } }
    case 'li':
      builder.mark(markerOf(outer))
      return state
    case 'table':
      builder.beginTable(outer)
      return { ...state, list: undefined }
    case 'tr':
      builder.beginRow()
      return state
    case 'td':
    case 'th':
      builder.beginCell({
        span: integer(attributes['colspan'], 1, 1, MAX_TABLE_COLUMNS),
        rows: integer(attributes['rowspan'], 1, 0, MAX_ROWSPAN),
      })
      return state
    case 'thead':
    case 'tbody':
    case 'tfoot':
      builder.beginRowGroup()
      return state
    case 'a':
      return { ...state, link: linkOf(attributes['href'], walk) }
    case 'title':
      return { ...state, title: true }
    case 'q':
      builder.text('\u201c', state)
      return state
    default:
      return state
  }
}

function close(tag: string, state: State, { builder }: Walk): void {
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
      builder.text('\u201d', state)
      break
    default:
      if (BLOCK.has(tag)) builder.flush()
  }
}

function markerOf({ list, indent }: State): string {
  if (list?.ordered !== true) return BULLETS[(Math.max(indent, 1) - 1) % BULLETS.length] ?? '-'
  const marker = `${list.next}.`
  list.next += 1
  return marker
}

function linkOf(href: string | undefined, { warnings }: Walk): Link | undefined {
  if (href === undefined) return undefined
  const target = readLinkTarget(href)
  if (target.kind === 'unsafe') warnings.add('ACTIVE_CONTENT_DROPPED')
  return target.kind === 'safe' ? { target: target.text, text: '' } : undefined
}

function drawOrName(attributes: Attributes, state: State, walk: Walk): void {
  const { src = '', alt = '' } = attributes
  const shown = alt.trim().slice(0, 1024)
  if (/^\s*data:/i.test(src)) {
    const picture = walk.pictures.read(src)
    if (picture !== undefined) {
      walk.builder.picture(picture, shown, state)
      return
    }
    walk.warnings.add('IMAGES_DROPPED')
  } else if (src !== '' || 'srcset' in attributes) walk.warnings.add('REMOTE_CONTENT_DROPPED')
  if (shown !== '') write(`[${shown}]`, state, walk)
}

function integer(text: string | undefined, fallback: number, low: number, high: number): number {
  const value = /^\s*\d{1,7}\s*$/.test(text ?? '') ? Number(text) : fallback
  return Math.min(Math.max(value, low), high)
}
