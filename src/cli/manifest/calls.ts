// The value of a call: of the runtime's two functions, of functions in the sources, and of the few methods of arrays and
// objects with which lists of names are made.
import ts from 'typescript'
import { CapabilityError, makeCapability } from '../../core/capability.ts'
import { ForeignError, UnresolvedError } from './fault.ts'
import type { FunctionNode } from './scope.ts'
import { isMember, memberName, strip } from './syntax.ts'
import { describe, type Env, type Lazy, type Value } from './values.ts'

type Context = {
  readonly evaluate: (node: ts.Expression, env: Env) => Value
  /** Each element, spreads taken apart. */
  readonly items: (elements: readonly ts.Expression[], env: Env) => readonly Lazy[]
}

/** @throws {UnresolvedError} when the call or what it depends on is not known */
export function callValue(node: ts.CallExpression, env: Env, context: Context): Value {
  const builtIn = objectFunction(node, env, context) ?? listMethod(node, env, context)
  if (builtIn !== undefined) return builtIn
  const callee = context.evaluate(node.expression, env)
  if (callee.kind === 'runtime') return definition(node, callee.name, env, context)
  if (callee.kind === 'function') return callFunction(node, callee, context.items(node.arguments, env), context)
  throw new UnresolvedError(node, `calls ${describe(callee)}`)
}

function definition(
  node: ts.CallExpression,
  name: 'defineCapability' | 'defineWorker',
  env: Env,
  context: Context,
): Value {
  const [argument] = node.arguments
  if (argument === undefined) throw new UnresolvedError(node, 'has no argument')
  const options = context.evaluate(argument, env)
  if (options.kind !== 'record') throw new UnresolvedError(argument, `is ${describe(options)}, not an object`)
  // A worker's definition has the members of its options.
  if (name === 'defineWorker') return options
  requireOwnHandler(options.member('handler'), env, context)
  const [verb, word] = [textOf(node, options, 'verb'), textOf(node, options, 'name')]
  try {
    return { kind: 'capability', capability: makeCapability(verb, word), site: node }
  } catch (cause: unknown) {
    if (cause instanceof CapabilityError) throw new UnresolvedError(node, cause.message)
    throw cause
  }
}

// Calls are found in the text of the handler: it must not be foreign, unless foreign code only wraps a function of ours.
function requireOwnHandler(handler: Lazy | undefined, env: Env, { evaluate }: Context): void {
  try {
    handler?.()
  } catch (cause: unknown) {
    if (!(cause instanceof UnresolvedError)) throw cause
    if (cause instanceof ForeignError && !wrapsFunction(cause.node)) throw cause
  }

  function wrapsFunction({ parent }: ts.Node): boolean {
    const call = isMember(parent) ? parent.parent : parent
    return ts.isCallExpression(call) && call.arguments.some(isFunction)
  }

  function isFunction(argument: ts.Expression): boolean {
    try {
      return evaluate(argument, env).kind === 'function'
    } catch (cause: unknown) {
      if (cause instanceof UnresolvedError) return false
      throw cause
    }
  }
}

/** The member `name`, which must be a string. @throws {UnresolvedError} */
export function textOf(node: ts.CallExpression, options: Value & { kind: 'record' }, name: string): string {
  const value = options.member(name)?.()
  if (value?.kind === 'text') return value.text
  throw new UnresolvedError(
    node,
    value === undefined ? `has no ${name}` : `${name} is ${describe(value)}, not a string`,
  )
}

function callFunction(
  node: ts.Node,
  callee: Value & { kind: 'function' },
  values: readonly Lazy[],
  context: Context,
): Value {
  const env = new Map(callee.env)
  for (const [index, parameter] of callee.node.parameters.entries()) {
    const { initializer } = parameter
    const value = values[index] ?? (initializer && (() => context.evaluate(initializer, env)))
    if (parameter.dotDotDotToken !== undefined) {
      env.set(parameter, () => ({ kind: 'list', items: values.slice(index) }))
    } else if (value !== undefined) env.set(parameter, value)
  }
  return context.evaluate(returnedBy(callee.node, node), env)
}

/** What the function always returns. */
function returnedBy({ body, asteriskToken }: FunctionNode, call: ts.Node): ts.Expression {
  if (body === undefined || asteriskToken !== undefined) throw new UnresolvedError(call, 'calls a generator')
  if (!ts.isBlock(body)) return body
  const returns = returnsIn(body)
  const [first] = returns
  if (first?.expression === undefined) throw new UnresolvedError(call, 'calls a function that returns nothing')
  if (returns.length > 1 || first.parent !== body) {
    throw new UnresolvedError(first, 'is one of several ways in which the function may end')
  }
  return first.expression
}

function returnsIn(node: ts.Node): ts.ReturnStatement[] {
  if (ts.isReturnStatement(node)) return [node]
  const found: ts.ReturnStatement[] = []
  ts.forEachChild(node, (child) => {
    if (!ts.isFunctionLike(child) && !ts.isClassLike(child)) found.push(...returnsIn(child))
  })
  return found
}

// Object.freeze(x) is x.
function objectFunction(node: ts.CallExpression, env: Env, { evaluate }: Context): Value | undefined {
  const callee = strip(node.expression)
  const [argument] = node.arguments
  if (!isMember(callee) || callee.expression.getText() !== 'Object' || argument === undefined) return undefined
  const value = evaluate(argument, env)
  const method = memberName(callee)
  if (method === 'freeze') return value
  if (value.kind !== 'record') return undefined
  const names = value.names()
  if (method === 'keys') return { kind: 'list', items: names.map((text) => () => ({ kind: 'text', text })) }
  if (method === 'values') return { kind: 'list', items: names.flatMap((name) => value.member(name) ?? []) }
  return undefined
}

function listMethod(node: ts.CallExpression, env: Env, context: Context): Value | undefined {
  const callee = strip(node.expression)
  const method = isMember(callee) ? memberName(callee) : undefined
  if (!isMember(callee) || (method !== 'map' && method !== 'concat')) return undefined
  const owner = context.evaluate(callee.expression, env)
  if (owner.kind !== 'list') return undefined
  const values = context.items(node.arguments, env)
  if (method === 'concat') return { kind: 'list', items: [...owner.items, ...values.flatMap(flat)] }
  const each = values[0]?.()
  if (each?.kind !== 'function') throw new UnresolvedError(node, 'maps with something that is no function here')
  return { kind: 'list', items: owner.items.map((item) => () => callFunction(node, each, [item], context)) }
}

function flat(value: Lazy): readonly Lazy[] {
  const known = value()
  return known.kind === 'list' ? known.items : [() => known]
}
