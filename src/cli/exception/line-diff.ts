// The difference between two texts with one changed part, as lines prefixed with `-` and `+`.

const CONTEXT = 3

/** Removed and added lines with a few unchanged lines around them; empty when nothing changed. */
export function lineDiff(before: string, after: string): string[] {
  const [old, now] = [linesOf(before), linesOf(after)]
  const head = commonLength(old, now)
  const tail = commonLength(old.slice(head).reverse(), now.slice(head).reverse())
  const removed = old.slice(head, old.length - tail)
  const added = now.slice(head, now.length - tail)
  if (removed.length === 0 && added.length === 0) return []
  return [
    ...old.slice(Math.max(0, head - CONTEXT), head).map((line) => `  ${line}`),
    ...removed.map((line) => `- ${line}`),
    ...added.map((line) => `+ ${line}`),
    ...old.slice(old.length - tail, old.length - tail + CONTEXT).map((line) => `  ${line}`),
  ]
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n')
}

function commonLength(a: readonly string[], b: readonly string[]): number {
  const differs = a.findIndex((line, at) => line !== b[at])
  return differs === -1 ? Math.min(a.length, b.length) : Math.min(differs, b.length)
}
