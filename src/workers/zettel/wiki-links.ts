// Wiki links in a text: [[title or id]], [[title|label]], [[title#heading]].
import { keyOf } from './names.ts'

/** `key`: finds the target zettels. */
type WikiLink = { readonly target: string; readonly key: string }

export const MAX_LINKS = 1000

// Every part is bounded and none may contain a bracket, so the search time is linear.
const LINK = /\[\[([^[\]|#\p{Cc}\u2028\u2029]{1,200})(?:#[^[\]|\p{Cc}]{0,200})?(?:\|[^[\]\p{Cc}]{0,200})?\]\]/gu

/** The links of a text in order, without duplicates, at most MAX_LINKS. */
export function wikiLinks(text: string): WikiLink[] {
  const found = new Map<string, WikiLink>()
  for (const [, name = ''] of text.matchAll(LINK)) {
    const [target, key] = [name.trim(), keyOf(name)]
    if (key !== '' && !found.has(key)) found.set(key, { target, key })
    if (found.size === MAX_LINKS) break
  }
  return [...found.values()]
}
