// Form fields on paper: what a reader of the form sees in them.
import { CHECKED, UNCHECKED } from './check-boxes.ts'
import { STYLE } from './blocks.ts'
import { write, type Attributes, type State, type Walk } from './html-state.ts'

/** An empty field, to write on. */
const BLANK = '____'
const BUTTONS: Readonly<Record<string, string>> = { submit: 'Submit', reset: 'Reset', button: '' }

/** A value is underlined and separated from the text around it. */
export function writeField(text: string, state: State, walk: Walk): void {
  if (text === '') return
  write(' ', state, walk)
  write(text, { ...state, style: state.style | STYLE.underline }, walk)
  write(' ', state, walk)
}

/** Whether it is a check box or radio button, which is drawn close to its label. */
export function isChoice({ type }: Attributes): boolean {
  return /^\s*(?:checkbox|radio)\s*$/i.test(type ?? '')
}

/** The text of an input; undefined for a value that others must not read. */
export function inputText(attributes: Attributes): string | undefined {
  const value = attributes['value'] ?? ''
  const type = attributes['type']?.trim().toLowerCase() ?? 'text'
  const isChecked = 'checked' in attributes
  switch (type) {
    case 'checkbox':
      return `${isChecked ? CHECKED : UNCHECKED} `
    case 'radio':
      return isChecked ? '(\u2022) ' : '(\u00a0) '
    case 'hidden':
      return ''
    case 'password':
      return value === '' ? BLANK : undefined
    case 'image':
      return attributes['alt'] ?? ''
    default: {
      const label = BUTTONS[type]
      if (label === undefined) return value === '' ? BLANK : value
      return value === '' && label === '' ? '' : `[${value === '' ? label : value}]`
    }
  }
}

/** The state of a progress bar or a meter; empty without a value. */
export function meterText({ value, max }: Attributes): string {
  const [shown, most] = [value, max].map((text) => (text ?? '').trim())
  if (shown === undefined || shown === '') return ''
  return most === undefined || most === '' ? shown : `${shown} / ${most}`
}

type Select = {
  readonly open: (tag: string, attributes: Attributes) => void
  readonly text: (text: string) => void
  /** The chosen option: the first one, if none is chosen and only one is visible. */
  readonly chosen: () => string
}

/** `onHidden` is called when a browser would show options that are not chosen. */
export function createSelect(attributes: Attributes, onHidden: () => void): Select {
  const options: { text: string; readonly isChosen: boolean }[] = []
  const showsAll = 'multiple' in attributes || Number(attributes['size'] ?? 1) > 1
  return {
    open(tag, { selected, label }) {
      if (tag === 'option') options.push({ text: label ?? '', isChosen: selected !== undefined })
    },
    text(text) {
      const last = options.at(-1)
      if (last !== undefined) last.text += text
    },
    chosen() {
      const chosen = options.filter(({ isChosen }) => isChosen)
      if (showsAll && chosen.length < options.length) onHidden()
      const shown = chosen.length > 0 || showsAll ? chosen : options.slice(0, 1)
      return shown.map(({ text }) => text.trim()).join(', ') || BLANK
    },
  }
}
