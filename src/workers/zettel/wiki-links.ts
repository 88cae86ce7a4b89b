// Wiki links in a text: [[title or id]], [[title|what is shown]], [[title#heading]].
import { keyOf } from './names.ts'

/** `key`: by which it finds its zettels. */
type WikiLink = { readonly target: string; readonly key: string }

export const MAX_LINKS = 1000

// Every part is bounded, and none may hold a bracket: the search takes time in proportion to the text.
const LINK = /\[\[([^[\]|#\p{Cc}\u2028\u2029]{1,200})(?:#[^[\]|\p{Cc}]{0,200})?(?:\|[^[\]\p{Cc}]{0,200})?\]\]/gu

/** The links of a text in their order, each target once, the first MAX_LINKS. */
export function wikiLinks(text: string): WikiLink[] {
  const found = new Map<string, WikiLink>()
  for (const [, name = ''] of text.matchAll(LINK)) {
    const [target, key] = [name.trim(), keyOf(name)]
    if (key !== '' && !found.has(key)) found.set(key, { target, key })
    if (found.size === MAX_LINKS) break
  }
  return [...found.values()]
}
