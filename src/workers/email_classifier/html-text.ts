// HTML as plain text, for a body that came without its mail. One linear pass; nothing is loaded, scripts and styles are
// dropped.

const LOOKS_LIKE_HTML = /<(?:!doctype|html|head|body|table|div|p|br|font|a|span|img)[\s/>]/i
const DROPPED: ReadonlySet<string> = new Set('script style title head'.split(' '))
const BREAKS: ReadonlySet<string> = new Set(
  'p br div tr li h1 h2 h3 h4 h5 h6 table ul ol blockquote'.split(' ').flatMap((name) => [name, `/${name}`]),
)
const TAG_NAME = /^\/?[a-z][a-z0-9]{0,20}/i
const HREF = /\bhref\s{0,8}=\s{0,8}["']?(https?:[^"'\s>]{1,500})/i
const ENTITY = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi
const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  copy: '\u00a9',
  euro: '\u20ac',
  pound: '\u00a3',
}

/** The text unchanged, or as a reader sees it if it is HTML. */
export function readableText(text: string): string {
  return LOOKS_LIKE_HTML.test(text) ? htmlText(text) : text
}

/** The text of any HTML, even broken; the address of a link follows it in brackets. */
export function htmlText(html: string): string {
  let text = ''
  let href = ''
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    if (open < 0) break
    text += html.slice(at, open)
    const end = endOfMarkup(html, open)
    if (end === undefined) {
      text += '<'
      at = open + 1
      continue
    }
    const tag = html.slice(open + 1, end - 1)
    const name = (TAG_NAME.exec(tag)?.[0] ?? '').toLowerCase()
    at = DROPPED.has(name) ? endOfDropped(html, end, name) : end
    if (BREAKS.has(name)) text += '\n'
    if (name === 'a') href = HREF.exec(tag)?.[1] ?? ''
    if (name === '/a' && href !== '') {
      text += ` (${href})`
      href = ''
    }
  }
  return decodeEntities(text + html.slice(at))
}

/** The end of the tag or comment that starts at `open`; undefined: the `<` is an ordinary character. */
function endOfMarkup(html: string, open: number): number | undefined {
  if (html.startsWith('<!--', open)) return behind(html, '-->', open + 4)
  if (!/[a-z/!?]/i.test(html.charAt(open + 1))) return undefined
  return behind(html, '>', open + 1)
}

// An unclosed comment or tag extends to the end, as in a browser.
function behind(html: string, mark: string, from: number): number {
  const at = html.indexOf(mark, from)
  return at < 0 ? html.length : at + mark.length
}

function endOfDropped(html: string, from: number, name: string): number {
  const close = new RegExp(`</${name}[\\s>]`, 'gi')
  close.lastIndex = from
  const at = close.exec(html)?.index
  return at ?? html.length
}

function decodeEntities(text: string): string {
  return text.replaceAll(ENTITY, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole
    const point = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal)
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point).toWellFormed() : '\ufffd'
  })
}
