// What happens to a value after its declaration: `list.push(x)`, `table.a = x`, `name = x`. Reading `const list = []` alone
// would leave out what is put into it later.
import ts from 'typescript'
import { runtimeFunction, type Origin, type Resolver } from './modules.ts'
import { namesIn } from './scope.ts'
import type { Sources } from './sources.ts'
import { isAssignment, isMember, memberName, outermost, strip, walk } from './syntax.ts'

export type Changes = {
  /** The calls and assignments that change the value, wherever they stand. */
  changesOf(declaration: ts.Node): readonly ts.Node[]
  /** What changes it inside a function that is given the value, or a call of which that is not known. */
  mayChange(declaration: ts.Node): ts.Node | undefined
}

/** A call that is given a value, and as which argument. */
type Handing = { readonly call: ts.CallExpression | ts.NewExpression; readonly index: number }

const CHANGING_METHODS = new Set(
  'push unshift pop shift splice sort reverse fill copyWithin set add delete clear'.split(' '),
)
const READING_METHODS = new Set(['concat', 'includes', 'indexOf'])
const CHANGING_GLOBALS = new Set('assign defineProperty defineProperties setPrototypeOf set'.split(' '))

export function indexChanges(sources: Sources, resolver: Resolver): Changes {
  const changes = new Map<ts.Node, ts.Node[]>()
  const handed = new Map<ts.Node, Handing[]>()
  for (const file of sources.files) {
    walk(file, (node) => {
      for (const name of changedBy(node)) note(changes, name, node)
      if (ts.isCallExpression(node) || ts.isNewExpression(node)) noteArguments(node)
      return true
    })
  }
  const changesOf = (declaration: ts.Node): readonly ts.Node[] => changes.get(declaration) ?? []
  return { changesOf, mayChange: (declaration) => mayChange(declaration, new Set()) }

  function note<T>(index: Map<ts.Node, T[]>, name: ts.Identifier, item: T): void {
    const origin = resolver.tryOrigin(name)
    if (origin?.kind !== 'declaration') return
    const items = index.get(origin.node) ?? []
    // There already: `const a = b` and `const b = a`.
    if (items.includes(item)) return
    index.set(origin.node, [...items, item])
    const alias = aliasedBy(origin.node)
    if (alias !== undefined) note(index, alias, item)
  }

  // Unless it is a global or one of the runtime's functions: those only read what they are given.
  function noteArguments(call: ts.CallExpression | ts.NewExpression): void {
    const root = rootOf(call.expression)
    const origin = root && resolver.tryOrigin(root)
    const isGlobal = root !== undefined && origin === undefined
    if (isGlobal || isRuntimeCall(call.expression, origin) || READING_METHODS.has(methodOf(call) ?? '')) return
    for (const [index, argument] of (call.arguments ?? []).entries()) {
      const value = strip(argument)
      if (ts.isIdentifier(value)) note(handed, value, { call, index })
    }
  }

  function mayChange(declaration: ts.Node, seen: Set<ts.Node>): ts.Node | undefined {
    if (seen.has(declaration)) return undefined
    seen.add(declaration)
    for (const { call, index } of handed.get(declaration) ?? []) {
      const parameter = resolver.functionOf(call.expression)?.parameters[index]
      if (parameter === undefined) return call
      for (const name of namesIn(parameter)) {
        const change = changesOf(name)[0] ?? mayChange(name, seen)
        if (change !== undefined) return change
      }
    }
    return undefined
  }
}

function isRuntimeCall(callee: ts.Expression, origin: Origin | undefined): boolean {
  if (runtimeFunction(origin) !== undefined) return true
  const isModule = origin?.kind === 'foreign' && origin.name === '*'
  const name = isModule && isMember(callee) ? memberName(callee) : undefined
  return name === 'defineCapability' || name === 'defineWorker'
}

/** The name of the method in `owner.method(…)`. */
function methodOf(call: ts.CallExpression | ts.NewExpression): string | undefined {
  const callee = strip(call.expression)
  return isMember(callee) ? memberName(callee) : undefined
}

function changedBy(node: ts.Node): ts.Identifier[] {
  if (isAssignment(node)) return rootsOf(node.left)
  if (ts.isDeleteExpression(node)) return rootsOf(node.expression)
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    const changing = [ts.SyntaxKind.PlusPlusToken, ts.SyntaxKind.MinusMinusToken].includes(node.operator)
    return changing ? rootsOf(node.operand) : []
  }
  if (!ts.isCallExpression(node)) return []
  const [callee, method] = [strip(node.expression), methodOf(node)]
  if (!isMember(callee) || method === undefined) return []
  const owner = strip(callee.expression)
  if (ts.isIdentifier(owner) && (owner.text === 'Object' || owner.text === 'Reflect')) {
    const target = node.arguments[0]
    return target !== undefined && CHANGING_GLOBALS.has(method) ? rootsOf(target) : []
  }
  return CHANGING_METHODS.has(method) ? rootsOf(owner) : []
}

/** The variable in `variable.a[b].c`. */
function rootOf(node: ts.Expression): ts.Identifier | undefined {
  const inner = strip(node)
  if (isMember(inner)) return rootOf(inner.expression)
  return ts.isIdentifier(inner) ? inner : undefined
}

// Also of `[a, b.c] = …` and `({ x: a } = …)`.
function rootsOf(target: ts.Expression): ts.Identifier[] {
  const inner = strip(target)
  if (ts.isArrayLiteralExpression(inner)) return inner.elements.flatMap(rootsOf)
  if (ts.isSpreadElement(inner)) return rootsOf(inner.expression)
  if (isAssignment(inner)) return rootsOf(inner.left)
  if (ts.isObjectLiteralExpression(inner)) {
    return inner.properties.flatMap((property) => {
      if (ts.isPropertyAssignment(property)) return rootsOf(property.initializer)
      return ts.isShorthandPropertyAssignment(property) ? [property.name] : []
    })
  }
  const root = rootOf(inner)
  return root === undefined ? [] : [root]
}

/** The other variable in `const a = b`. */
function aliasedBy(declaration: ts.Node): ts.Identifier | undefined {
  if (!ts.isVariableDeclaration(declaration) || declaration.initializer === undefined) return undefined
  const initializer = strip(declaration.initializer)
  return ts.isIdentifier(initializer) ? initializer : undefined
}

/** Whether the value is written so that TypeScript refuses to change it: `… as const`. */
export function isConstant(value: ts.Expression): boolean {
  let outer: ts.Node = value
  const end = outermost(value)
  while (outer !== end) {
    outer = outer.parent
    if (ts.isAsExpression(outer) && outer.type.getText() === 'const') return true
  }
  return false
}
