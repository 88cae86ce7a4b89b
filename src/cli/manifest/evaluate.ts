// The value of an expression as the source text alone tells it. Where the text leaves a choice (a condition, a parameter,
// foreign code), it throws UnresolvedError at that place.
import ts from 'typescript'
import { bindPattern } from './bindings.ts'
import { callValue } from './calls.ts'
import { isConstant, type Changes } from './changes.ts'
import { ForeignError, UnresolvedError } from './fault.ts'
import { runtimeFunction, type Origin, type Resolver } from './modules.ts'
import { isFunctionNode, rootOfBinding, type FunctionNode } from './scope.ts'
import { isDynamicImport, isMember, strip } from './syntax.ts'
import { describe, type Env, type Lazy, type Value } from './values.ts'

export type Evaluate = (node: ts.Expression, env?: Env) => Value

const MAX_DEPTH = 300
const NO_ENV: Env = new Map()

/** @returns a function that throws {UnresolvedError} for what it cannot tell */
export function createEvaluate(resolver: Resolver, changes: Changes): Evaluate {
  let depth = 0
  return evaluate

  function evaluate(node: ts.Expression, env: Env = NO_ENV): Value {
    if (depth >= MAX_DEPTH) throw new UnresolvedError(node, 'refers to itself, or too deep')
    depth += 1
    try {
      return valueOf(strip(node), env)
    } finally {
      depth -= 1
    }
  }

  function valueOf(node: ts.Expression, env: Env): Value {
    if (ts.isStringLiteralLike(node)) return { kind: 'text', text: node.text }
    if (ts.isNumericLiteral(node)) return { kind: 'number', number: Number(node.text) }
    if (ts.isTemplateExpression(node)) return template(node, env)
    if (ts.isBinaryExpression(node)) return sum(node, env)
    if (ts.isIdentifier(node)) return named(node, env)
    if (isMember(node)) return member(node, env)
    if (ts.isArrayLiteralExpression(node)) return { kind: 'list', items: items(node.elements, env) }
    if (ts.isObjectLiteralExpression(node)) return record(node, env)
    if (isFunctionNode(node)) return { kind: 'function', node, env }
    if (isDynamicImport(node)) return dynamicImport(node)
    if (ts.isCallExpression(node)) return callValue(node, env, { evaluate, items })
    throw new UnresolvedError(node, reasonFor(node))
  }

  function template(node: ts.TemplateExpression, env: Env): Value {
    const parts = node.templateSpans.map(({ expression, literal }) => printed(expression, env) + literal.text)
    return { kind: 'text', text: node.head.text + parts.join('') }
  }

  function sum(node: ts.BinaryExpression, env: Env): Value {
    if (node.operatorToken.kind !== ts.SyntaxKind.PlusToken) throw new UnresolvedError(node, reasonFor(node))
    return { kind: 'text', text: printed(node.left, env) + printed(node.right, env) }
  }

  function printed(node: ts.Expression, env: Env): string {
    const value = evaluate(node, env)
    if (value.kind === 'text') return value.text
    if (value.kind === 'number') return String(value.number)
    throw new UnresolvedError(node, `is ${describe(value)}, not a string`)
  }

  function items(elements: readonly ts.Expression[], env: Env): Lazy[] {
    return elements.flatMap((element): readonly Lazy[] => {
      if (!ts.isSpreadElement(element)) return [() => evaluate(element, env)]
      const value = evaluate(element.expression, env)
      if (value.kind === 'list') return value.items
      throw new UnresolvedError(element, `spreads ${describe(value)}, not an array`)
    })
  }

  function named(node: ts.Identifier, env: Env): Value {
    const origin = resolver.origin(node)
    if (origin === undefined) throw new UnresolvedError(node, 'is not declared in the sources')
    return valueOfOrigin(origin, node, env)
  }

  function valueOfOrigin(origin: Origin, at: ts.Node, env: Env): Value {
    switch (origin.kind) {
      case 'expression':
        return evaluate(origin.node)
      case 'module':
        return origin
      case 'foreign':
        return foreign(origin, at)
      case 'declaration':
        return declared(origin.node, at, env)
    }
  }

  function foreign(origin: Origin & { kind: 'foreign' }, at: ts.Node): Value {
    const name = runtimeFunction(origin)
    if (name !== undefined) return { kind: 'runtime', name }
    if (origin.name === '*') return { ...origin, kind: 'foreign-module' }
    throw new ForeignError(at, `comes from ${origin.specifier}, which is not read`)
  }

  function declared(node: (Origin & { kind: 'declaration' })['node'], at: ts.Node, env: Env): Value {
    if (isFunctionNode(node)) return { kind: 'function', node, env }
    if (ts.isClassLike(node) || ts.isEnumDeclaration(node)) {
      throw new UnresolvedError(at, 'is a class or an enum: only constants can be read')
    }
    const value = bound(node, at, env)
    refuseChange(node, value)
    return value
  }

  function bound(
    node: ts.VariableDeclaration | ts.ParameterDeclaration | ts.BindingElement,
    at: ts.Node,
    env: Env,
  ): Value {
    if (ts.isBindingElement(node)) {
      return bindPattern(node, at, { whole: () => bound(rootOfBinding(node), at, env), find, evaluate, env })
    }
    if (ts.isParameter(node)) {
      const value = env.get(node)
      if (value === undefined) throw new UnresolvedError(at, 'is a parameter: its value is not known here')
      return value()
    }
    if ((node.parent.flags & ts.NodeFlags.Const) === 0) {
      throw new UnresolvedError(at, 'is no const: it may get another value')
    }
    if (node.initializer === undefined) throw new UnresolvedError(at, 'has another value in every turn of its loop')
    return evaluate(node.initializer, env)
  }

  function refuseChange(
    node: ts.VariableDeclaration | ts.ParameterDeclaration | ts.BindingElement,
    value: Value,
  ): void {
    const name = node.name.getText()
    const [change] = changes.changesOf(node)
    if (change !== undefined) throw new UnresolvedError(change, `changes ${name} after its declaration`)
    if (value.kind !== 'list' && value.kind !== 'record') return
    if (node.initializer !== undefined && isConstant(strip(node.initializer))) return
    const call = changes.mayChange(node)
    if (call !== undefined) throw new UnresolvedError(call, `may change ${name}: declare that \`as const\``)
  }

  function member(node: ts.PropertyAccessExpression | ts.ElementAccessExpression, env: Env): Value {
    const owner = evaluate(node.expression, env)
    const key = keyOf(node, env)
    const found = find(owner, key, node)
    if (found === undefined) throw new UnresolvedError(node, `${describe(owner)} without a known member "${key}"`)
    return found()
  }

  function find(owner: Value, key: string | number, at: ts.Node): Lazy | undefined {
    switch (owner.kind) {
      case 'record':
        return owner.member(String(key))
      case 'list':
        return typeof key === 'number' ? owner.items[key] : undefined
      case 'capability':
        // Of a definition, only its name is needed: `requires: [other.capability]`.
        return key === 'capability' ? () => ({ kind: 'text', text: owner.capability }) : undefined
      case 'module':
        return () => valueOfOrigin(resolver.exported(owner.file, String(key), at), at, NO_ENV)
      case 'foreign-module':
        return () => foreign({ ...owner, kind: 'foreign', name: String(key) }, at)
      default:
        return undefined
    }
  }

  function keyOf(node: ts.PropertyAccessExpression | ts.ElementAccessExpression, env: Env): string | number {
    if (ts.isPropertyAccessExpression(node)) return node.name.text
    const key = evaluate(node.argumentExpression, env)
    if (key.kind === 'text') return key.text
    if (key.kind === 'number') return key.number
    throw new UnresolvedError(node.argumentExpression, `is ${describe(key)}, no name of a member`)
  }

  function record(node: ts.ObjectLiteralExpression, env: Env): Value {
    // From the end: the last one wins, and what stands before it need not be known.
    const find = (name: string): Lazy | undefined => {
      for (const property of node.properties.toReversed()) {
        const found = propertyValue(property, name, env)
        if (found !== undefined) return found
      }
      return undefined
    }
    const names = () => [...new Set(node.properties.flatMap((property) => propertyNames(property, env)))]
    return { kind: 'record', member: find, names }
  }

  function propertyValue(property: ts.ObjectLiteralElementLike, name: string, env: Env): Lazy | undefined {
    if (ts.isSpreadAssignment(property)) return spreadRecord(property, env).member(name)
    if (propertyName(property, env) !== name) return undefined
    if (ts.isPropertyAssignment(property)) return () => evaluate(property.initializer, env)
    if (ts.isShorthandPropertyAssignment(property)) return () => named(property.name, env)
    if (ts.isMethodDeclaration(property)) return () => ({ kind: 'function', node: property, env })
    throw new UnresolvedError(property, 'is computed when it is read')
  }

  function propertyNames(property: ts.ObjectLiteralElementLike, env: Env): readonly string[] {
    return ts.isSpreadAssignment(property) ? spreadRecord(property, env).names() : [propertyName(property, env)]
  }

  function propertyName(property: Exclude<ts.ObjectLiteralElementLike, ts.SpreadAssignment>, env: Env): string {
    const { name } = property
    return ts.isComputedPropertyName(name) ? printed(name.expression, env) : name.text
  }

  function spreadRecord(property: ts.SpreadAssignment, env: Env): Value & { kind: 'record' } {
    const value = evaluate(property.expression, env)
    if (value.kind === 'record') return value
    throw new UnresolvedError(property, `spreads ${describe(value)}, not an object`)
  }

  function dynamicImport(node: ts.CallExpression): Value {
    const specifier = node.arguments[0]
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) {
      throw new UnresolvedError(node, 'which module is loaded is not known here')
    }
    return valueOfOrigin(resolver.imported(specifier, '*'), node, NO_ENV)
  }
}

function reasonFor(node: ts.Expression | FunctionNode): string {
  if (ts.isConditionalExpression(node)) return 'depends on a condition'
  if (ts.isBinaryExpression(node)) return 'depends on what it is computed from'
  if (ts.isTaggedTemplateExpression(node)) return 'is made by a tag function'
  if (ts.isNewExpression(node)) return 'is made when it runs'
  return 'is not a constant'
}
