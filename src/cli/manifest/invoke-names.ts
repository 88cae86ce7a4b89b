// Which expressions are `invoke` (or `invoke.events`) and which are the context of a handler. Known by their names, their
// types `Invoke` and `HandlerContext`, and through variables and patterns; syntax tells no more.
import ts from 'typescript'
import type { Resolver } from './modules.ts'
import { isFunctionNode, rootOfBinding } from './scope.ts'
import { isMember, memberName, nameText, strip } from './syntax.ts'

export type InvokeNames = {
  isInvoke(node: ts.Expression): boolean
  isContext(node: ts.Expression): boolean
  /** Whether it is a variable with an object that has one of the two in it: `const tools = { invoke }`. */
  isCarrier(node: ts.Expression): boolean
  /** Whether what a caller hands to this parameter stays in sight as `invoke`, or as the context. */
  takesInvoke(parameter: ts.ParameterDeclaration): boolean
  takesContext(parameter: ts.ParameterDeclaration): boolean
}

export function createInvokeNames(resolver: Resolver): InvokeNames {
  // The declarations that are just being looked at: broken code may refer to itself.
  const open = new Set<ts.Node>()
  return { isInvoke, isContext, isCarrier, takesInvoke, takesContext }

  function through(node: ts.VariableDeclaration, is: (value: ts.Expression) => boolean): boolean {
    if (node.initializer === undefined || open.has(node)) return false
    open.add(node)
    try {
      return is(node.initializer)
    } finally {
      open.delete(node)
    }
  }

  function isInvoke(expression: ts.Expression): boolean {
    const node = strip(expression)
    if (ts.isIdentifier(node)) {
      const origin = resolver.tryOrigin(node)
      return origin?.kind === 'declaration' && declaresInvoke(origin.node)
    }
    if (!isMember(node)) return false
    const name = memberName(node)
    if (name === 'events') return isInvoke(node.expression)
    return name === 'invoke' && !isSomethingElse(strip(node.expression))
  }

  function declaresInvoke(node: ts.Node): boolean {
    if (ts.isParameter(node)) return takesInvoke(node)
    if (ts.isBindingElement(node)) return bindsInvoke(node)
    if (!ts.isVariableDeclaration(node)) return false
    const { initializer } = node
    if (isInvokeType(node.type) || through(node, isInvoke)) return true
    return nameText(node.name) === 'invoke' && (initializer === undefined || !isOwnValue(strip(initializer)))
  }

  function takesInvoke(parameter: ts.ParameterDeclaration): boolean {
    return nameText(parameter.name) === 'invoke' || isInvokeType(parameter.type)
  }

  function bindsInvoke(element: ts.BindingElement): boolean {
    const name = nameText(element.propertyName ?? element.name)
    if (name === 'invoke' || nameText(element.name) === 'invoke') return true
    if (name !== 'events') return false
    const owner = element.parent.parent
    if (ts.isBindingElement(owner)) return bindsInvoke(owner)
    const root = rootOfBinding(element)
    return isInvokeType(root.type) || (ts.isVariableDeclaration(root) && through(root, isInvoke))
  }

  function isContext(expression: ts.Expression): boolean {
    const node = strip(expression)
    if (!ts.isIdentifier(node)) return false
    const origin = resolver.tryOrigin(node)
    if (origin?.kind !== 'declaration') return false
    if (ts.isParameter(origin.node)) return takesContext(origin.node)
    return ts.isVariableDeclaration(origin.node) && through(origin.node, isContext)
  }

  function isCarrier(expression: ts.Expression): boolean {
    const node = strip(expression)
    if (ts.isObjectLiteralExpression(node)) return node.properties.some(carries)
    const origin = ts.isIdentifier(node) ? resolver.tryOrigin(node) : undefined
    if (origin?.kind !== 'declaration' || !ts.isVariableDeclaration(origin.node)) return false
    return through(origin.node, isCarrier)
  }

  function carries(property: ts.ObjectLiteralElementLike): boolean {
    const value = valueIn(property)
    return value !== undefined && (isInvoke(value) || isContext(value) || isCarrier(value))
  }

  // `(model) => model.invoke(…)` with `const model = new Model()`: of such owners it is known that they are no context.
  function isSomethingElse(owner: ts.Expression): boolean {
    if (owner.kind === ts.SyntaxKind.ThisKeyword) return hasOwnInvoke(owner)
    if (!ts.isIdentifier(owner)) return false
    const origin = resolver.tryOrigin(owner)
    if (origin === undefined) return false
    if (origin.kind !== 'declaration') return true
    const { node } = origin
    if (!ts.isVariableDeclaration(node)) return !ts.isParameter(node) && !ts.isBindingElement(node)
    return node.initializer !== undefined && isOwnValue(strip(node.initializer))
  }
}

function valueIn(property: ts.ObjectLiteralElementLike): ts.Expression | undefined {
  if (ts.isPropertyAssignment(property)) return property.initializer
  if (ts.isSpreadAssignment(property)) return property.expression
  return ts.isShorthandPropertyAssignment(property) ? property.name : undefined
}

function takesContext(parameter: ts.ParameterDeclaration): boolean {
  if (!ts.isIdentifier(parameter.name)) return true
  if (isContextType(parameter.type)) return true
  if (parameter.type === undefined && ['context', 'ctx'].includes(parameter.name.text)) return true
  return parameter.parent.parameters[0] === parameter && isHandler(parameter.parent)
}

/** `handler: (context) => …`, or the method `handler(context) { … }`. */
function isHandler(node: ts.Node): boolean {
  if (!isFunctionNode(node)) return false
  if (ts.isMethodDeclaration(node)) return nameText(node.name) === 'handler'
  return ts.isPropertyAssignment(node.parent) && nameText(node.parent.name) === 'handler'
}

function isInvokeType(type: ts.TypeNode | undefined): boolean {
  if (type === undefined) return false
  if (ts.isIndexedAccessTypeNode(type)) return /^["']invoke["']$/.test(type.indexType.getText())
  return ts.isTypeReferenceNode(type) && /(^|\.)Invoke$/.test(type.typeName.getText())
}

function isContextType(type: ts.TypeNode | undefined): boolean {
  return type !== undefined && ts.isTypeReferenceNode(type) && /\bHandlerContext\b/.test(type.getText())
}

function isOwnValue(node: ts.Expression): boolean {
  return isFunctionNode(node) || ts.isNewExpression(node) || ts.isClassLike(node) || ts.isLiteralExpression(node)
}

function hasOwnInvoke(node: ts.Node): boolean {
  let at = node
  while (!ts.isClassLike(at) && !ts.isSourceFile(at)) at = at.parent
  return (
    ts.isClassLike(at) && at.members.some((item) => ts.isMethodDeclaration(item) && nameText(item.name) === 'invoke')
  )
}
