// What each HTML tag means to a document on paper. A tag that stands nowhere here is inline and only its text counts.
import { STYLE, type Style } from './blocks.ts'

/** Left out together with everything in them. */
export const DROPPED: ReadonlySet<string> = new Set(
  (
    'script style iframe frame frameset object embed applet template svg math canvas audio video source track ' +
    'link meta base input select datalist noembed noframes'
  ).split(' '),
)
/** Of these, what would run. */
export const ACTIVE: ReadonlySet<string> = new Set('script object embed applet'.split(' '))
/** Of these, what would be loaded from elsewhere. */
export const LOADING: ReadonlySet<string> = new Set('iframe frame audio video link'.split(' '))

/** Begin and end a block of their own. */
export const BLOCK: ReadonlySet<string> = new Set(
  (
    'address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure ' +
    'footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu nav ol optgroup option p pre ' +
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

/** 1 to 6, or undefined for what is no heading. */
export function headingLevel(tag: string): number | undefined {
  return /^h[1-6]$/.test(tag) ? Number(tag[1]) : undefined
}
