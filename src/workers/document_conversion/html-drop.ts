// Tags that are left out together with their content, and the warnings for them.
import { createSelect, meterText, writeField } from './html-forms.ts'
import type { Attributes, State, Walk } from './html-state.ts'
import { LEFT_OUT_TAGS } from './html-tags.ts'
import type { Warnings } from './warnings.ts'

/** A tag that is being left out, until its end. */
export type Drop = {
  readonly open: (tag: string, attributes: Attributes) => void
  readonly text: (text: string) => void
  /** Returns true at its end. */
  readonly close: () => boolean
}
type Where = { readonly state: State; readonly walk: Walk }
type Content = {
  readonly open?: (tag: string, attributes: Attributes) => void
  readonly text?: (text: string) => void
  readonly end?: () => void
}

/** Undefined for a tag that is drawn. */
export function beginDrop(tag: string, attributes: Attributes, where: Where): Drop | undefined {
  const content = contentOf(tag, attributes, where)
  if (content === undefined) return undefined
  const { warnings, trail } = where.walk
  /** For each open tag: whether its text is never shown. */
  const silent = [false]
  return {
    open(inner, innerAttributes) {
      const fate = LEFT_OUT_TAGS.get(inner)
      silent.push(fate !== undefined || silent.at(-1) === true)
      if (fate === 'active') warnings.add('ACTIVE_CONTENT_DROPPED', { place: trail.place() })
      content.open?.(inner, innerAttributes)
    },
    text(text) {
      if (silent.at(-1) !== true) content.text?.(text)
    },
    close() {
      silent.pop()
      if (silent.length > 0) return false
      content.end?.()
      return true
    },
  }
}

function contentOf(tag: string, attributes: Attributes, { state, walk }: Where): Content | undefined {
  const { warnings, trail } = walk
  if (isHidden(attributes)) return hiddenContent(walk)
  const fate = LEFT_OUT_TAGS.get(tag)
  if (fate === undefined) return undefined
  const refreshes = tag === 'meta' && /^\s*refresh\s*$/i.test(attributes['http-equiv'] ?? '')
  const more = { place: trail.place() }
  if (fate === 'active') warnings.add('ACTIVE_CONTENT_DROPPED', more)
  else if (fate === 'remote' || refreshes) warnings.add('REMOTE_CONTENT_DROPPED', more)
  else if (fate === 'select') {
    const select = createSelect(attributes, () => warnings.leftOut('options', more))
    return { ...select, end: () => writeField(select.chosen(), state, walk) }
  } else if (fate === 'meter') writeField(meterText(attributes), state, walk)
  else if (fate !== 'nothing') warnings.leftOut(fate, more)
  return tag === 'style' ? { text: (text) => sayOfStyles(text, warnings) } : {}
}

function isHidden(attributes: Attributes): boolean {
  return 'hidden' in attributes || /display\s*:\s*none/i.test(attributes['style']?.slice(0, 1024) ?? '')
}

function hiddenContent({ warnings, trail }: Walk): Content {
  const place = trail.place()
  let hasContent = false
  return {
    open: (tag) => void (hasContent ||= tag === 'img'),
    text: (text) => void (hasContent ||= text.trim() !== ''),
    end() {
      if (hasContent) warnings.leftOut('hidden', { place })
    },
  }
}

// Most style rules change only the looks of a document, which are not kept; these change what it says.
function sayOfStyles(text: string, warnings: Warnings): void {
  const place = 'in a style sheet'
  if (/url\s*\(|@import/i.test(text)) warnings.add('REMOTE_CONTENT_DROPPED', { place })
  if (/display\s*:\s*none|visibility\s*:\s*hidden/i.test(text)) warnings.leftOut('styleHides', { place })
  if (/[\s{;]content\s*:\s*(?:["'][^"'\s]|attr|counter)/i.test(text)) warnings.leftOut('generated', { place })
}
