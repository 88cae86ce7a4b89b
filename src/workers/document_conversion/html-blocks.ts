// HTML to blocks, by an allow list; nothing is ever loaded. It works on the parser's events, so nested tags do not
// become nested calls.
import { Parser } from 'htmlparser2'
import { createBlockBuilder } from './block-builder.ts'
import type { Block } from './blocks.ts'
import { beginDrop, type Drop } from './html-drop.ts'
import { close, open } from './html-elements.ts'
import { write, type Attributes, type State, type Walk } from './html-state.ts'
import { MAX_HTML_DEPTH } from './limits.ts'
import { createPictureReader } from './pictures.ts'
import { createTrail } from './places.ts'
import { limitFault } from './task.ts'
import type { Warnings } from './warnings.ts'

type HtmlDocument = { readonly blocks: Block[]; readonly title: string | undefined }

const MAX_TITLE_LENGTH = 200
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
  const walk = createWalk(warnings)
  const outer: State[] = []
  let state = ROOT
  let title = ''
  let drop: Drop | undefined

  const parser = new Parser({
    onopentag(tag, attributes) {
      outer.push(state)
      if (outer.length > MAX_HTML_DEPTH) throw limitFault(`HTML tags are nested deeper than ${MAX_HTML_DEPTH}`)
      if (drop !== undefined) {
        drop.open(tag, attributes)
        return
      }
      drop = beginDrop(tag, attributes, { state, walk })
      if (drop !== undefined) return
      sayOfAttributes(attributes, walk)
      state = open(tag, attributes, state, walk)
    },
    ontext(text) {
      if (drop !== undefined) drop.text(text)
      else if (state.title) title = (title + text).slice(0, MAX_TITLE_LENGTH)
      else write(text, state, walk)
    },
    onclosetag(tag) {
      if (drop === undefined) close(tag, state, walk)
      else if (drop.close()) drop = undefined
      state = outer.pop() ?? ROOT
    },
  })
  parser.write(html)
  parser.end()
  const bareTitle = title.replaceAll(/\s+/g, ' ').trim()
  return { blocks: walk.builder.finish(), title: bareTitle === '' ? undefined : bareTitle }
}

function createWalk(warnings: Warnings): Walk {
  const builder = createBlockBuilder((place) => warnings.leftOut('table', { place }))
  return { builder, pictures: createPictureReader(), warnings, trail: createTrail() }
}

function sayOfAttributes(attributes: Attributes, { warnings, trail }: Walk): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) warnings.add('ACTIVE_CONTENT_DROPPED', { place: trail.place() })
    else if (name === 'background' || (name === 'style' && /url\s*\(/i.test(value))) {
      warnings.add('REMOTE_CONTENT_DROPPED', { place: trail.place() })
    }
  }
}
