// Where `invoke`, a context or a function of the runtime gets out of sight: from there on it might be called with anything,
// under any name. Each such place is a fault, so that no call is left out silently.
import ts from 'typescript'
import type { InvokeNames } from './invoke-names.ts'
import { runtimeFunction, type Resolver } from './modules.ts'
import { isAssignment, isDynamicImport, isMember, isReference, memberName, nameText, outermost } from './syntax.ts'
import type { Sources } from './sources.ts'

export type Sight = {
  /** Why the value at `node` is lost; undefined where it is not, and for all other nodes. */
  lostAt(node: ts.Node): string | undefined
}

const INVOKE_LOST = 'invoke gets out of sight here: call it, or hand it to a parameter of type Invoke'
const CONTEXT_LOST = 'the context gets out of sight here: hand it to a function of these sources, as HandlerContext'

type Dependencies = { readonly sources: Sources; readonly resolver: Resolver; readonly names: InvokeNames }

export function createSight({ sources, resolver, names }: Dependencies): Sight {
  return { lostAt }

  function lostAt(node: ts.Node): string | undefined {
    if (isDynamicImport(node)) return runtimeImport(node)
    if (isAssignment(node) && ts.isObjectLiteralExpression(node.left)) return assignedPattern(node.left)
    if (!isReference(node) && !isMember(node)) return undefined
    const origin = originOf(node)
    if (runtimeFunction(origin) !== undefined) return lostDefinition(node)
    if (origin?.kind === 'foreign' && origin.runtime && origin.name === '*') return lostModule(outermost(node))
    if (names.isInvoke(node)) return lostInvoke(outermost(node))
    if (!ts.isIdentifier(node)) return undefined
    if (names.isContext(node)) return lostContext(outermost(node))
    return names.isCarrier(node) && isForeignArgument(outermost(node)) ? CONTEXT_LOST : undefined
  }

  function originOf(node: ts.Expression) {
    if (ts.isIdentifier(node)) return resolver.tryOrigin(node)
    if (!isMember(node) || !ts.isIdentifier(node.expression)) return undefined
    const [owner, name] = [resolver.tryOrigin(node.expression), memberName(node)]
    return owner?.kind === 'foreign' && owner.name === '*' && name !== undefined ? { ...owner, name } : undefined
  }

  function lostDefinition(node: ts.Node): string | undefined {
    const outer = outermost(node)
    const { parent } = outer
    if (ts.isCallExpression(parent) && parent.expression === outer) return undefined
    if (isConst(parent) && ts.isIdentifier(parent.name)) return undefined
    return `${node.getText()} gets out of sight here: call it where it is imported`
  }

  function lostModule(node: ts.Node): string | undefined {
    const { parent } = node
    if (isMember(parent) && parent.expression === node && memberName(parent) !== undefined) return undefined
    if (isConst(parent) && (ts.isIdentifier(parent.name) || isPlain(parent.name))) return undefined
    return 'the worker runtime gets out of sight here: import its functions by name'
  }

  function runtimeImport(node: ts.CallExpression): string | undefined {
    const specifier = node.arguments[0]
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return undefined
    const target = sources.target(node.getSourceFile(), specifier.text)
    return target.kind === 'foreign' && target.runtime ? 'the worker runtime must be imported at the top' : undefined
  }

  // `({ invoke: call } = context)`: the names of a pattern are followed in declarations only.
  function assignedPattern({ properties }: ts.ObjectLiteralExpression): string | undefined {
    const takes = properties.some(({ name }) => ['invoke', 'events'].includes(nameText(name) ?? ''))
    return takes ? 'takes invoke apart in an assignment: use a const' : undefined
  }

  function lostInvoke(node: ts.Node): string | undefined {
    const { parent } = node
    if (isMember(parent) && parent.expression === node) {
      return memberName(parent) === 'events' ? undefined : INVOKE_LOST
    }
    if (isPartOfForeignArgument(parent)) return INVOKE_LOST
    if (isMember(parent) || isHarmless(parent) || keepsName(parent, node)) return undefined
    if (ts.isVariableDeclaration(parent)) return keepsEvents(parent) ? undefined : INVOKE_LOST
    if (!ts.isCallExpression(parent) && !ts.isNewExpression(parent)) return INVOKE_LOST
    return parent.expression === node || isTaken(parent, node, (parameter) => names.takesInvoke(parameter))
      ? undefined
      : INVOKE_LOST
  }

  function lostContext(node: ts.Node): string | undefined {
    const { parent } = node
    if (isMember(parent)) {
      if (parent.expression !== node || memberName(parent) !== undefined) return undefined
      return 'which member of the context this is, is not known here'
    }
    if (isPartOfForeignArgument(parent)) return CONTEXT_LOST
    if (!ts.isCallExpression(parent) && !ts.isNewExpression(parent)) return undefined
    return parent.expression === node || isTaken(parent, node, (parameter) => names.takesContext(parameter))
      ? undefined
      : CONTEXT_LOST
  }

  // `run({ invoke })`, where run is not in the sources.
  function isPartOfForeignArgument(part: ts.Node): boolean {
    return (
      ts.isObjectLiteralElementLike(part) &&
      ts.isObjectLiteralExpression(part.parent) &&
      isForeignArgument(outermost(part.parent))
    )
  }

  function isForeignArgument(node: ts.Node): boolean {
    const call = node.parent
    if (!ts.isCallExpression(call) && !ts.isNewExpression(call)) return false
    return call.expression !== node && resolver.functionOf(call.expression) === undefined
  }

  function isTaken(
    call: ts.CallExpression | ts.NewExpression,
    argument: ts.Node,
    takes: (parameter: ts.ParameterDeclaration) => boolean,
  ): boolean {
    const index = call.arguments?.findIndex((item) => item === argument) ?? -1
    const parameter = resolver.functionOf(call.expression)?.parameters[index]
    return parameter !== undefined && parameter.dotDotDotToken === undefined && takes(parameter)
  }
}

function isHarmless(parent: ts.Node): boolean {
  if (ts.isBinaryExpression(parent)) {
    const { kind } = parent.operatorToken
    return kind === ts.SyntaxKind.EqualsEqualsEqualsToken || kind === ts.SyntaxKind.ExclamationEqualsEqualsToken
  }
  return ts.isTypeOfExpression(parent) || ts.isExpressionStatement(parent)
}

// Kept under the name `invoke` it is found again: `{ invoke }`, `{ invoke: call }`, `this.invoke = call`.
function keepsName(parent: ts.Node, node: ts.Node): boolean {
  if (ts.isShorthandPropertyAssignment(parent)) return nameText(parent.name) === 'invoke'
  if (ts.isPropertyAssignment(parent) && parent.initializer === node) return nameText(parent.name) === 'invoke'
  if (!isAssignment(parent)) return false
  return parent.left === node || (isMember(parent.left) && memberName(parent.left) === 'invoke')
}

// `const call = invoke`, `const { events } = invoke`.
function keepsEvents({ name }: ts.VariableDeclaration): boolean {
  if (ts.isIdentifier(name)) return true
  return (
    isPlain(name) && name.elements.every(({ propertyName, name: own }) => nameText(propertyName ?? own) === 'events')
  )
}

/** A pattern of constant names without a rest. */
function isPlain(pattern: ts.BindingPattern): pattern is ts.ObjectBindingPattern {
  return (
    ts.isObjectBindingPattern(pattern) &&
    pattern.elements.every((item) => item.dotDotDotToken === undefined && nameText(item.propertyName ?? item.name))
  )
}

function isConst(node: ts.Node): node is ts.VariableDeclaration {
  return ts.isVariableDeclaration(node) && (node.parent.flags & ts.NodeFlags.Const) !== 0
}
