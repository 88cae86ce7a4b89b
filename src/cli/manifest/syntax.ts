// Small questions about syntax nodes.
import ts from 'typescript'

type Wrapper =
  | ts.ParenthesizedExpression
  | ts.AsExpression
  | ts.SatisfiesExpression
  | ts.NonNullExpression
  | ts.TypeAssertion
  | ts.AwaitExpression

/** The expression without parentheses, casts, `!` and `await`. */
export function strip(node: ts.Expression): ts.Expression {
  let inner = node
  while (isWrapper(inner)) inner = inner.expression
  return inner
}

/** The opposite of `strip`: the node with the parentheses, casts, `!` and `await` around it. */
export function outermost(node: ts.Node): ts.Node {
  let outer = node
  while (isWrapper(outer.parent)) outer = outer.parent
  return outer
}

/** Visits `node` and all below it but types; what is below a node for which `visit` says false is left out. */
export function walk(node: ts.Node, visit: (node: ts.Node) => boolean): void {
  if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return
  if (visit(node)) ts.forEachChild(node, (child) => walk(child, visit))
}

/** Whether the identifier stands for a value: it is no name of a declaration, member or label. */
export function isReference(node: ts.Node): node is ts.Identifier {
  if (!ts.isIdentifier(node)) return false
  if (ts.isShorthandPropertyAssignment(node.parent)) return true
  const { name, propertyName, label } = node.parent as { name?: unknown; propertyName?: unknown; label?: unknown }
  return name !== node && propertyName !== node && label !== node
}

/** The constant name in `a.name`, `a['name']`; undefined for a computed member. */
export function memberName(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): string | undefined {
  if (ts.isPropertyAccessExpression(node)) return node.name.text
  return ts.isStringLiteralLike(node.argumentExpression) ? node.argumentExpression.text : undefined
}

/** The constant name of a member in a literal, class or pattern; undefined for a computed one. */
export function nameText(name: ts.Node | undefined): string | undefined {
  if (name === undefined) return undefined
  return ts.isIdentifier(name) || ts.isStringLiteralLike(name) || ts.isNumericLiteral(name) ? name.text : undefined
}

/** `a.b` or `a[b]`. */
export function isMember(node: ts.Node): node is ts.PropertyAccessExpression | ts.ElementAccessExpression {
  return ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)
}

/** `import(…)` and `require(…)`. */
export function isDynamicImport(node: ts.Node): node is ts.CallExpression {
  if (!ts.isCallExpression(node)) return false
  return (
    node.expression.kind === ts.SyntaxKind.ImportKeyword ||
    (ts.isIdentifier(node.expression) && node.expression.text === 'require')
  )
}

/** `=`, `+=`, `??=` and the like. */
export function isAssignment(node: ts.Node): node is ts.BinaryExpression {
  if (!ts.isBinaryExpression(node)) return false
  const { kind } = node.operatorToken
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment
}

function isWrapper(node: ts.Node): node is Wrapper {
  return (
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node) ||
    ts.isSatisfiesExpression(node) ||
    ts.isNonNullExpression(node) ||
    ts.isTypeAssertionExpression(node) ||
    ts.isAwaitExpression(node)
  )
}
