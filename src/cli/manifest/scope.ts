// Which declaration a name stands for, by the scopes around it. Only values; types have no part in a manifest.
import ts from 'typescript'
import { walk } from './syntax.ts'

export type FunctionNode = ts.FunctionDeclaration | ts.FunctionExpression | ts.ArrowFunction | ts.MethodDeclaration
/** What declares a value. */
export type Declaration =
  | ts.VariableDeclaration
  | ts.ParameterDeclaration
  | ts.BindingElement
  | ts.FunctionDeclaration
  | ts.FunctionExpression
  | ts.ClassLikeDeclaration
  | ts.EnumDeclaration
  | ImportedName
export type ImportedName = ts.ImportClause | ts.ImportSpecifier | ts.NamespaceImport

type Scope = Map<string, Declaration>
const scopes = new WeakMap<ts.Node, Scope>()

/** The declaration in the same file; undefined for a global. */
export function findDeclaration(name: ts.Identifier): Declaration | undefined {
  for (let at: ts.Node | undefined = name.parent; at !== undefined; at = parentOf(at)) {
    const found = scopeOf(at).get(name.text)
    if (found !== undefined) return found
  }
  return undefined
}

export function isImportedName(node: Declaration): node is ImportedName {
  return ts.isImportClause(node) || ts.isImportSpecifier(node) || ts.isNamespaceImport(node)
}

export function isFunctionNode(node: ts.Node): node is FunctionNode {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isFunctionExpression(node) ||
    ts.isArrowFunction(node) ||
    ts.isMethodDeclaration(node)
  )
}

/** The variable or parameter whose value the pattern takes apart. */
export function rootOfBinding(element: ts.BindingElement): ts.VariableDeclaration | ts.ParameterDeclaration {
  const owner = element.parent.parent
  return ts.isBindingElement(owner) ? rootOfBinding(owner) : owner
}

/** Every name that a declaration makes: its own, or those of its pattern. */
export function namesIn<T extends ts.VariableDeclaration | ts.ParameterDeclaration | ts.BindingElement>(
  declaration: T,
): (T | ts.BindingElement)[] {
  if (ts.isIdentifier(declaration.name)) return [declaration]
  return declaration.name.elements.flatMap((element) => (ts.isBindingElement(element) ? namesIn(element) : []))
}

function parentOf(node: ts.Node): ts.Node | undefined {
  return node.parent
}

function scopeOf(node: ts.Node): Scope {
  let scope = scopes.get(node)
  if (scope === undefined) {
    scope = new Map()
    declare(node, scope)
    scopes.set(node, scope)
  }
  return scope
}

function declare(node: ts.Node, scope: Scope): void {
  if (ts.isSourceFile(node) || ts.isBlock(node) || ts.isModuleBlock(node)) {
    for (const statement of node.statements) declareStatement(statement, scope)
  } else if (ts.isCaseBlock(node)) {
    for (const statement of node.clauses.flatMap((clause) => [...clause.statements])) declareStatement(statement, scope)
  } else if (ts.isForStatement(node) || ts.isForInStatement(node) || ts.isForOfStatement(node)) {
    if (node.initializer !== undefined && ts.isVariableDeclarationList(node.initializer)) {
      declareList(node.initializer, scope)
    }
  } else if (ts.isCatchClause(node)) {
    if (node.variableDeclaration !== undefined) declareName(node.variableDeclaration, scope)
  } else if (ts.isFunctionLike(node)) {
    declareFunction(node, scope)
  }
}

function declareFunction(node: ts.SignatureDeclaration, scope: Scope): void {
  if (ts.isFunctionExpression(node) && node.name !== undefined) scope.set(node.name.text, node)
  for (const parameter of node.parameters) if (ts.isParameter(parameter)) declareName(parameter, scope)
  const { body } = node as { body?: ts.Node }
  if (body !== undefined) declareVars(body, scope)
}

function declareStatement(statement: ts.Statement, scope: Scope): void {
  if (ts.isVariableStatement(statement)) declareList(statement.declarationList, scope)
  else if (ts.isImportDeclaration(statement)) declareImport(statement, scope)
  else if (ts.isFunctionDeclaration(statement)) {
    // An overload has no body.
    if (statement.name !== undefined && statement.body !== undefined) scope.set(statement.name.text, statement)
  } else if (ts.isClassDeclaration(statement) || ts.isEnumDeclaration(statement)) {
    if (statement.name !== undefined) scope.set(statement.name.text, statement)
  }
}

// `var` belongs to the function, however deep in it.
function declareVars(body: ts.Node, scope: Scope): void {
  walk(body, (node) => {
    if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.BlockScoped) === 0) declareList(node, scope)
    return node === body || !ts.isFunctionLike(node)
  })
}

function declareList(list: ts.VariableDeclarationList, scope: Scope): void {
  for (const declaration of list.declarations) declareName(declaration, scope)
}

function declareName(declaration: ts.VariableDeclaration | ts.ParameterDeclaration, scope: Scope): void {
  for (const name of namesIn(declaration)) if (ts.isIdentifier(name.name)) scope.set(name.name.text, name)
}

function declareImport({ importClause }: ts.ImportDeclaration, scope: Scope): void {
  if (importClause === undefined || importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return
  if (importClause.name !== undefined) scope.set(importClause.name.text, importClause)
  const { namedBindings } = importClause
  if (namedBindings === undefined) return
  if (ts.isNamespaceImport(namedBindings)) scope.set(namedBindings.name.text, namedBindings)
  else {
    for (const element of namedBindings.elements) if (!element.isTypeOnly) scope.set(element.name.text, element)
  }
}
