// Reads as much of PromQL as the dashboards use: which metrics, with which labels. Real syntax is checked by a real
// Prometheus (npm run test:stack).

/** A metric and the labels its matchers name. */
export type Selector = { readonly metric: string; readonly labels: readonly string[] }
/** `by (…)`, and the metrics that are aggregated. */
export type Grouping = { readonly labels: readonly string[]; readonly metrics: readonly string[] }

const TOKEN = /"(?:[^"\\]|\\.)*"|[a-zA-Z_:][\w:]*|\d[\w.]*|=~|!~|[!=<>]=|[-+*/%^<>=(){}[\],]|\s+/y
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan'])
const NOT_READ = new Set(['without', 'on', 'ignoring', 'group_left', 'group_right'])

/** @throws {Error} for what it cannot read */
export function readPromql(expr: string): { selectors: Selector[]; groupings: Grouping[] } {
  return read(tokens(expr), expr)
}

function tokens(expr: string): string[] {
  const found: string[] = []
  const token = new RegExp(TOKEN)
  while (token.lastIndex < expr.length) {
    const at = token.lastIndex
    const [text] = token.exec(expr) ?? []
    if (text === undefined) throw new Error(`cannot read ${expr.slice(at)} in ${expr}`)
    if (text.trim() !== '') found.push(text)
  }
  return found
}

function read(list: readonly string[], expr: string): { selectors: Selector[]; groupings: Grouping[] } {
  const selectors: Selector[] = []
  const groupings: Grouping[] = []
  for (let i = 0; i < list.length; i++) {
    const word = list[i] ?? ''
    const next = list[i + 1]
    if (NOT_READ.has(word)) throw new Error(`${word} is not read here: ${expr}`)
    if (word === 'by') {
      const end = closing(list, i + 1)
      if (list[end + 1] !== '(') throw new Error(`by (…) stands before what it aggregates: ${expr}`)
      const inner = read(list.slice(end + 2, closing(list, end + 1)), expr)
      groupings.push({ labels: names(list.slice(i + 2, end)), metrics: inner.selectors.map(({ metric }) => metric) })
      i = end
    } else if (/^[a-zA-Z_:]/.test(word) && !WORDS.has(word) && next !== '(' && next !== 'by') {
      const end = next === '{' ? closing(list, i + 1) : i
      selectors.push({ metric: word, labels: names(list.slice(i + 2, end)) })
      i = end
    } else if (word === '[') i = closing(list, i)
  }
  return { selectors, groupings }
}

/** The names in `a, b` and in `a="x", b=~"y"`. */
function names(list: readonly string[]): string[] {
  return list.filter((token) => /^[a-zA-Z_]/.test(token))
}

const PAIRS: Readonly<Record<string, string>> = { '(': ')', '{': '}', '[': ']' }

function closing(list: readonly string[], open: number): number {
  let depth = 0
  const opens = list[open] ?? ''
  for (let i = open; i < list.length; i++) {
    if (list[i] === opens) depth += 1
    if (list[i] === PAIRS[opens] && --depth === 0) return i
  }
  throw new Error(`${opens} is not closed in ${list.join(' ')}`)
}
