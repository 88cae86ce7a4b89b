// Follows a name through imports and re-exports to what it stands for.
import ts from 'typescript'
import { UnresolvedError } from './fault.ts'
import { findDeclaration, isFunctionNode, isImportedName, namesIn } from './scope.ts'
import type { Declaration, FunctionNode, ImportedName } from './scope.ts'
import type { Sources } from './sources.ts'
import { isMember, memberName, nameText, strip } from './syntax.ts'

/** `foreign`: the export `name` of code that is not read; `*` is the whole module. */
export type Origin =
  | { readonly kind: 'declaration'; readonly node: Exclude<Declaration, ImportedName> }
  | { readonly kind: 'expression'; readonly node: ts.Expression }
  | { readonly kind: 'module'; readonly file: ts.SourceFile }
  | { readonly kind: 'foreign'; readonly specifier: string; readonly name: string; readonly runtime: boolean }

export type Resolver = {
  /** What the name stands for; undefined for a global. @throws {UnresolvedError} for an export that is not there */
  origin(name: ts.Identifier): Origin | undefined
  /** The same, but undefined where it cannot be told. */
  tryOrigin(name: ts.Identifier): Origin | undefined
  /** The export `name` of a module that is imported by `specifier`; `*` is the module. @throws {UnresolvedError} */
  imported(specifier: ts.StringLiteralLike, name: string): Origin
  /** @throws {UnresolvedError} at `at`, if `file` exports no such name */
  exported(file: ts.SourceFile, name: string, at: ts.Node): Origin
  /** The function that is called, if it is one of the sources' own and called by its name. */
  functionOf(callee: ts.Expression): FunctionNode | ts.ConstructorDeclaration | undefined
}

export function createResolver(sources: Sources): Resolver {
  return { origin: (name) => originOf(name, new Set()), tryOrigin, imported, exported, functionOf }

  function tryOrigin(name: ts.Identifier): Origin | undefined {
    try {
      return originOf(name, new Set())
    } catch (cause: unknown) {
      if (cause instanceof UnresolvedError) return undefined
      throw cause
    }
  }

  function imported(specifier: ts.StringLiteralLike, name: string, seen = new Set<string>()): Origin {
    const found = exportFrom(specifier, name, seen)
    return found ?? missing(specifier, `the module exports no "${name}" that can be read`)
  }

  function exported(file: ts.SourceFile, name: string, at: ts.Node): Origin {
    return findExport(file, name, new Set()) ?? missing(at, `${file.fileName} exports no "${name}"`)
  }

  function functionOf(callee: ts.Expression): FunctionNode | ts.ConstructorDeclaration | undefined {
    const name = strip(callee)
    const origin = ts.isIdentifier(name) ? tryOrigin(name) : tryMember(name)
    if (origin?.kind !== 'declaration') return undefined
    const { node } = origin
    if (isFunctionNode(node)) return node
    if (ts.isClassLike(node)) return node.members.find(ts.isConstructorDeclaration)
    const value = ts.isVariableDeclaration(node) && node.initializer !== undefined ? strip(node.initializer) : undefined
    return value !== undefined && isFunctionNode(value) ? value : undefined
  }

  // `module.name` of `import * as module`.
  function tryMember(node: ts.Expression): Origin | undefined {
    if (!isMember(node) || !ts.isIdentifier(node.expression)) return undefined
    const [owner, name] = [tryOrigin(node.expression), memberName(node)]
    return owner?.kind === 'module' && name !== undefined ? findExport(owner.file, name, new Set()) : undefined
  }

  /** `seen`: the exports on the way, since modules may re-export from each other. */
  function originOf(name: ts.Identifier, seen: Set<string>): Origin | undefined {
    const declaration = findDeclaration(name)
    if (declaration === undefined) return undefined
    if (!isImportedName(declaration)) return { kind: 'declaration', node: declaration }
    return imported(specifierOf(declaration), importedName(declaration), seen)
  }

  function exportFrom(specifier: ts.StringLiteralLike, name: string, seen: Set<string>): Origin | undefined {
    const target = sources.target(specifier.getSourceFile(), specifier.text)
    switch (target.kind) {
      case 'missing':
        return missing(specifier, target.reason)
      case 'foreign':
        return { kind: 'foreign', specifier: specifier.text, name, runtime: target.runtime }
      case 'file':
        return name === '*' ? { kind: 'module', file: target.file } : findExport(target.file, name, seen)
    }
  }

  function findExport(file: ts.SourceFile, name: string, seen: Set<string>): Origin | undefined {
    const key = `${name} ${file.fileName}`
    if (seen.has(key)) return undefined
    seen.add(key)
    for (const statement of file.statements) {
      const found = exportOf(statement, name, seen)
      if (found !== undefined) return found
    }
    // Names that are written out go before `export *`; a default is never passed on by it.
    const stars = name === 'default' ? [] : file.statements.filter(isStar)
    const found = stars.map(({ moduleSpecifier }) => exportFrom(moduleSpecifier as ts.StringLiteral, name, seen))
    return found.find((item) => item !== undefined && item.kind !== 'foreign') ?? found.find((item) => item)
  }

  function exportOf(statement: ts.Statement, name: string, seen: Set<string>): Origin | undefined {
    if (ts.isExportAssignment(statement)) {
      return name === 'default' ? { kind: 'expression', node: statement.expression } : undefined
    }
    if (ts.isExportDeclaration(statement)) return reExportOf(statement, name, seen)
    const flags = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
    if (flags?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) !== true) return undefined
    const isDefault = flags.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
    return declaredAs(statement, name, isDefault)
  }

  function reExportOf(statement: ts.ExportDeclaration, name: string, seen: Set<string>): Origin | undefined {
    const { exportClause, moduleSpecifier } = statement
    const from = moduleSpecifier as ts.StringLiteral | undefined
    if (exportClause === undefined || statement.isTypeOnly) return undefined
    if (ts.isNamespaceExport(exportClause)) {
      return exportClause.name.text === name && from !== undefined ? imported(from, '*', seen) : undefined
    }
    const element = exportClause.elements.find((item) => item.name.text === name && !item.isTypeOnly)
    if (element === undefined) return undefined
    const local = element.propertyName ?? element.name
    if (from !== undefined) return imported(from, local.text, seen)
    return ts.isIdentifier(local) ? originOf(local, seen) : undefined
  }
}

/** The functions of the runtime that describe a worker; from a package they are known by name. */
export function runtimeFunction(origin: Origin | undefined): 'defineCapability' | 'defineWorker' | undefined {
  if (origin?.kind !== 'foreign') return undefined
  return origin.name === 'defineCapability' || origin.name === 'defineWorker' ? origin.name : undefined
}

function declaredAs(statement: ts.Statement, name: string, isDefault: boolean): Origin | undefined {
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement) || ts.isEnumDeclaration(statement)) {
    if (ts.isFunctionDeclaration(statement) && statement.body === undefined) return undefined
    const matches = isDefault ? name === 'default' : statement.name?.text === name
    return matches ? { kind: 'declaration', node: statement } : undefined
  }
  if (!ts.isVariableStatement(statement)) return undefined
  const names = statement.declarationList.declarations.flatMap((declaration) => namesIn(declaration))
  const node = names.find((item) => nameText(item.name) === name)
  return node && { kind: 'declaration', node }
}

function isStar(statement: ts.Statement): statement is ts.ExportDeclaration {
  return ts.isExportDeclaration(statement) && statement.exportClause === undefined && !statement.isTypeOnly
}

function importedName(name: ImportedName): string {
  if (ts.isNamespaceImport(name)) return '*'
  return ts.isImportClause(name) ? 'default' : (name.propertyName ?? name.name).text
}

function specifierOf(name: ImportedName): ts.StringLiteral {
  let node: ts.Node = name
  while (!ts.isImportDeclaration(node)) node = node.parent
  return node.moduleSpecifier as ts.StringLiteral
}

function missing(at: ts.Node, reason: string): never {
  throw new UnresolvedError(at, reason)
}
