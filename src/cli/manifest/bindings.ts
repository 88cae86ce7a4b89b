// The value of one name in a destructuring pattern.
import ts from 'typescript'
import { UnresolvedError } from './fault.ts'
import { nameText } from './syntax.ts'
import { describe, type Env, type Lazy, type Value } from './values.ts'

type Context = {
  /** The value that the whole pattern takes apart. */
  readonly whole: Lazy
  readonly evaluate: (node: ts.Expression, env: Env) => Value
  readonly env: Env
}

/** @throws {UnresolvedError} at `at`, for a rest, a computed name, or a value that is not known */
export function bindPattern(element: ts.BindingElement, at: ts.Node, context: Context): Value {
  if (element.dotDotDotToken !== undefined) throw new UnresolvedError(at, 'is the rest of a pattern')
  const owner = element.parent.parent
  const whole = ts.isBindingElement(owner) ? bindPattern(owner, at, context) : context.whole()
  const found = ts.isArrayBindingPattern(element.parent)
    ? itemOf(whole, element.parent.elements.indexOf(element), at)
    : memberOf(whole, element, at)
  if (found !== undefined) return found()
  if (element.initializer !== undefined) return context.evaluate(element.initializer, context.env)
  throw new UnresolvedError(at, `${describe(whole)} has no such member`)
}

function itemOf(whole: Value, index: number, at: ts.Node): Lazy | undefined {
  if (whole.kind !== 'list') throw new UnresolvedError(at, `is taken from ${describe(whole)}, not from an array`)
  return whole.items[index]
}

function memberOf(whole: Value, element: ts.BindingElement, at: ts.Node): Lazy | undefined {
  const name = nameText(element.propertyName ?? element.name)
  if (name === undefined) throw new UnresolvedError(at, 'has a computed name')
  if (whole.kind === 'record') return whole.member(name)
  if (whole.kind === 'capability' && name === 'capability') return () => ({ kind: 'text', text: whole.capability })
  throw new UnresolvedError(at, `is taken from ${describe(whole)}, not from an object`)
}
