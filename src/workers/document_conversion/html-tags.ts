// What each HTML tag means on paper. A tag that is not listed here is inline, and only its text counts.
import { STYLE, type Style } from './blocks.ts'
import type { LeftOut } from './left-out.ts'

/**
 * `active`: it would run code. `remote`: it would be loaded from elsewhere. `nothing`: a browser shows nothing either.
 * `select`, `meter`: its value is drawn instead.
 */
type TagFate = LeftOut | 'active' | 'remote' | 'nothing' | 'select' | 'meter'

/** Left out together with their content. */
export const LEFT_OUT_TAGS: ReadonlyMap<string, TagFate> = new Map<string, TagFate>([
  ...fates('active', 'script object embed applet'),
  ...fates('remote', 'iframe frame audio video link bgsound portal'),
  ...fates('nothing', 'style template source track meta base datalist noembed noframes rp param col colgroup wbr'),
  ['svg', 'svg'],
  ['math', 'math'],
  ['canvas', 'canvas'],
  ['area', 'imageMap'],
  ['select', 'select'],
  ['progress', 'meter'],
  ['meter', 'meter'],
])

function fates(fate: TagFate, tags: string): [tag: string, fate: TagFate][] {
  return tags.split(' ').map((tag) => [tag, fate])
}

/** These begin and end a block. */
export const BLOCK: ReadonlySet<string> = new Set(
  (
    'address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure ' +
    'footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu nav ol optgroup option p pre ' +
    'search section summary table tbody td textarea tfoot th thead tr ul'
  ).split(' '),
)

export const STYLE_OF: Readonly<Record<string, Style>> = {
  b: STYLE.bold,
  strong: STYLE.bold,
  th: STYLE.bold,
  dt: STYLE.bold,
  i: STYLE.italic,
  em: STYLE.italic,
  cite: STYLE.italic,
  dfn: STYLE.italic,
  var: STYLE.italic,
  code: STYLE.code,
  kbd: STYLE.code,
  samp: STYLE.code,
  tt: STYLE.code,
  pre: STYLE.code,
  u: STYLE.underline,
  ins: STYLE.underline,
  s: STYLE.strike,
  strike: STYLE.strike,
  del: STYLE.strike,
  sub: STYLE.sub,
  sup: STYLE.sup,
}

/** 1 to 6, or undefined for other tags. */
export function headingLevel(tag: string): number | undefined {
  return /^h[1-6]$/.test(tag) ? Number(tag[1]) : undefined
}
