// Blocks as plain text: a blank line between paragraphs, list items with their markers, quotes as in mails.
import type { Block, Cell, Run } from './blocks.ts'
import { plainScript } from './script-text.ts'

export function blocksToText(blocks: readonly Block[]): string {
  let text = ''
  let previous: Block | undefined
  for (const block of blocks) {
    const shown = textOf(block)
    if (shown === '') continue
    if (previous !== undefined) text += isListItem(block) && isListItem(previous) ? '\n' : '\n\n'
    text += setIn(block, shown)
    previous = block
  }
  return text
}

function isListItem({ indent }: Block): boolean {
  return indent > 0
}

function textOf(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
    case 'heading':
      return plain(block.runs)
    case 'preformatted':
      return block.text
    case 'table':
      return block.rows.map(rowText).join('\n')
    case 'picture':
      return block.alt === '' ? '' : `[${block.alt}]`
    case 'rule':
      return '----------'
  }
}

// A cell that spans several columns or rows leaves the other places empty, so that each value stays in its column.
function rowText(row: readonly Cell[]): string {
  const texts: string[] = []
  for (const { runs, column } of row) {
    while (texts.length < column) texts.push('')
    texts.push(plain(runs).replaceAll('\n', ' '))
  }
  return texts.join(' | ')
}

function plain(runs: readonly Run[]): string {
  return runs.map(({ text, style }) => plainScript(text, style)).join('')
}

function setIn({ quote, indent, marker }: Block, text: string): string {
  const start = '> '.repeat(quote) + '  '.repeat(Math.max(0, indent - 1))
  const first = marker === undefined ? '' : `${marker} `
  return text
    .split('\n')
    .map((line, index) => start + (index === 0 ? first : ' '.repeat(first.length)) + line)
    .join('\n')
}
