// What the generator cannot tell from the code: always a place and a reason, never a guess.
import type ts from 'typescript'

/** `expression` is the text at the place, on one line. `neededBy`: the call that needed it, when that stands elsewhere. */
export type Fault = {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly expression: string
  readonly reason: string
  readonly neededBy?: string
}

/** An expression whose value the source text alone does not tell. */
export class UnresolvedError extends Error {
  override readonly name: string = 'UnresolvedError'
  readonly node: ts.Node

  constructor(node: ts.Node, reason: string) {
    super(reason)
    this.node = node
  }
}

/** A value of code that is not read. */
export class ForeignError extends UnresolvedError {
  override readonly name = 'ForeignError'
}

const MAX_TEXT = 100

/** `file:line:column` of a node, counted from 1. */
export function placeOf(node: ts.Node): string {
  const { file, line, column } = positionOf(node)
  return `${file}:${line}:${column}`
}

/** The fault of `node`; `site` is the call on whose behalf it was looked at. */
export function faultAt(node: ts.Node, reason: string, site?: ts.Node): Fault {
  const text = node.getText().replaceAll(/\s+/g, ' ')
  const expression = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
  const fault = { ...positionOf(node), expression, reason }
  return site === undefined || isInside(node, site) ? fault : { ...fault, neededBy: placeOf(site) }
}

/** The result of `work`; what it cannot resolve goes to `faults`, and the result is undefined. */
export function attempt<T>(site: ts.Node, faults: Fault[], work: () => T): T | undefined {
  try {
    return work()
  } catch (cause: unknown) {
    if (!(cause instanceof UnresolvedError)) throw cause
    faults.push(faultAt(cause.node, cause.message, site))
    return undefined
  }
}

/** In the order of files and lines, each once. */
export function sortFaults(faults: readonly Fault[]): Fault[] {
  const byText = new Map(faults.map((fault) => [`${fault.file}:${fault.line}:${fault.column}:${fault.reason}`, fault]))
  return [...byText.values()].sort(
    (a, b) => compareText(a.file, b.file) || a.line - b.line || a.column - b.column || compareText(a.reason, b.reason),
  )
}

/** `src/workers/a.ts:3:9: verb: is a parameter, …` */
export function formatFault({ file, line, column, expression, reason, neededBy }: Fault): string {
  const needed = neededBy === undefined ? '' : ` (needed at ${neededBy})`
  return `${file}:${line}:${column}: ${expression}: ${reason}${needed}`
}

/** By code units, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

function positionOf(node: ts.Node): { file: string; line: number; column: number } {
  const source = node.getSourceFile()
  const { line, character } = source.getLineAndCharacterOfPosition(node.getStart())
  return { file: source.fileName, line: line + 1, column: character + 1 }
}

function isInside(node: ts.Node, site: ts.Node): boolean {
  return node.getSourceFile() === site.getSourceFile() && node.pos >= site.pos && node.end <= site.end
}
