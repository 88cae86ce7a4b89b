// Which exports of a tree somebody imports.
import { dirname, posix } from 'node:path'
import ts from 'typescript'

/** A file of the repository; `path` from its root, with slashes. */
export type SourceText = { readonly path: string; readonly text: string }
export type Export = {
  readonly path: string
  readonly name: string
  readonly line: number
}
/** `unused`: nothing but its own file uses it. `tested`: besides that, only tests. */
export type ExportUse = { readonly unused: readonly Export[]; readonly tested: readonly Export[] }

/** `exporting`: whose exports are looked at; `importing`: all files, tests among them. */
export function scanExports(
  exporting: readonly SourceText[],
  importing: readonly SourceText[],
  isTest: (path: string) => boolean,
): ExportUse {
  const users = new Map<string, Set<string>>()
  for (const file of importing) {
    for (const { target, name } of importsOf(file)) {
      const key = keyOf(target, name)
      users.set(key, (users.get(key) ?? new Set()).add(file.path))
    }
  }
  const exports = exporting.flatMap(exportsOf)
  const usersOf = ({ path, name }: Export): string[] =>
    [keyOf(path, name), keyOf(path, ANY)].flatMap((key) => [...(users.get(key) ?? [])])
  return {
    unused: exports.filter((one) => usersOf(one).length === 0),
    tested: exports.filter((one) => usersOf(one).length > 0 && usersOf(one).every(isTest)),
  }
}

/** Every name of a module: `import * as` and `export * from`. */
const ANY = '*'

function keyOf(path: string, name: string): string {
  return `${path}#${name}`
}

type Imported = { readonly target: string; readonly name: string }

function importsOf({ path, text }: SourceText): Imported[] {
  const source = parse(path, text)
  const found: Imported[] = []
  const add = (specifier: ts.Node | undefined, names: readonly string[]): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith('.')) return
    const target = posix.normalize(posix.join(dirname(path), specifier.text))
    for (const name of names) found.push({ target, name })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, namesOfClause(node.importClause))
    if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, namesOfExports(node.exportClause))
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, [node.qualifier === undefined ? ANY : firstName(node.qualifier)])
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], namesTaken(node))
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function namesOfClause(clause: ts.ImportClause | undefined): string[] {
  const bindings = clause?.namedBindings
  if (bindings === undefined) return []
  if (ts.isNamespaceImport(bindings)) return [ANY]
  return bindings.elements.map(({ propertyName, name }) => (propertyName ?? name).text)
}

function namesOfExports(clause: ts.NamedExportBindings | undefined): string[] {
  if (clause === undefined || ts.isNamespaceExport(clause)) return [ANY]
  return clause.elements.map(({ propertyName, name }) => (propertyName ?? name).text)
}

function firstName(name: ts.EntityName): string {
  return ts.isIdentifier(name) ? name.text : firstName(name.left)
}

/** What is taken from `await import(...)`: `(await import(x)).name`, `const { name } = await import(x)`, or who knows. */
function namesTaken(call: ts.CallExpression): string[] {
  let node: ts.Node = call.parent
  while (ts.isAwaitExpression(node) || ts.isParenthesizedExpression(node)) node = node.parent
  if (ts.isPropertyAccessExpression(node)) return [node.name.text]
  if (!ts.isVariableDeclaration(node) || !ts.isObjectBindingPattern(node.name)) return [ANY]
  return node.name.elements.map(({ propertyName, name }) => (propertyName ?? name).getText())
}

function exportsOf({ path, text }: SourceText): Export[] {
  const source = parse(path, text)
  const found: Export[] = []
  const add = (name: ts.Node): void => {
    found.push({ path, name: name.getText(), line: source.getLineAndCharacterOfPosition(name.getStart()).line + 1 })
  }
  for (const node of source.statements) {
    if (ts.isExportDeclaration(node) && node.exportClause !== undefined && ts.isNamedExports(node.exportClause)) {
      for (const { name } of node.exportClause.elements) add(name)
    }
    if (!ts.canHaveModifiers(node) || !isExported(node)) continue
    if (ts.isVariableStatement(node)) {
      for (const { name } of node.declarationList.declarations) add(name)
    } else if ('name' in node) add(node.name)
  }
  return found
}

function isExported(node: ts.HasModifiers): boolean {
  return (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
}

function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
}
