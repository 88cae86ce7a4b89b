// Links are shown as text, and only targets that a reader may safely follow by hand.

const MAX_TARGET_LENGTH = 2048
const SHOWN = new Set(['http:', 'https:', 'mailto:', 'tel:'])

/**
 * `safe`: `text` is shown. `unsafe`: it would run or open something (javascript:, file:, data:). `none`: nothing to
 * show.
 */
type LinkTarget = { readonly kind: 'safe'; readonly text: string } | { readonly kind: 'unsafe' | 'none' }

export function readLinkTarget(href: string): LinkTarget {
  // Browsers ignore these characters in a scheme. So does this check, or `java
  // script:` would pass.
  const bare = href.replaceAll(/[\u0000-\u0020\u007f-\u009f]/g, '')
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(bare)?.[0].toLowerCase()
  if (scheme === undefined) return { kind: 'none' }
  if (!SHOWN.has(scheme)) return { kind: 'unsafe' }
  const url = URL.parse(bare)
  if (url === null || url.href.length > MAX_TARGET_LENGTH) return { kind: 'none' }
  return { kind: 'safe', text: scheme === 'mailto:' || scheme === 'tel:' ? url.pathname : url.href }
}

/** Whether the text of a link already shows its target. */
export function saysTarget(text: string, target: string): boolean {
  const plain = (value: string) =>
    value
      .trim()
      .toLowerCase()
      .replace(/^https?:\/\//, '')
      .replace(/\/$/, '')
  return plain(text) === plain(target)
}
