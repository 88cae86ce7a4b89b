// The value of one name in a destructuring pattern.
import ts from 'typescript'
import { UnresolvedError } from './fault.ts'
import { nameText } from './syntax.ts'
import { describe, type Env, type Lazy, type Value } from './values.ts'

type Context = {
  /** The value that the whole pattern takes apart. */
  readonly whole: Lazy
  readonly find: (owner: Value, key: string | number, at: ts.Node) => Lazy | undefined
  readonly evaluate: (node: ts.Expression, env: Env) => Value
  readonly env: Env
}

/** @throws {UnresolvedError} at `at`, for a rest, a computed name, or a value that is not known */
export function bindPattern(element: ts.BindingElement, at: ts.Node, context: Context): Value {
  if (element.dotDotDotToken !== undefined) throw new UnresolvedError(at, 'is the rest of a pattern')
  const owner = element.parent.parent
  const whole = ts.isBindingElement(owner) ? bindPattern(owner, at, context) : context.whole()
  const found = context.find(whole, keyOf(element, at), at)
  if (found !== undefined) return found()
  if (element.initializer !== undefined) return context.evaluate(element.initializer, context.env)
  throw new UnresolvedError(at, `is taken from ${describe(whole)} that has no such member`)
}

function keyOf(element: ts.BindingElement, at: ts.Node): string | number {
  if (ts.isArrayBindingPattern(element.parent)) return element.parent.elements.indexOf(element)
  const name = nameText(element.propertyName ?? element.name)
  if (name === undefined) throw new UnresolvedError(at, 'has a computed name')
  return name
}
