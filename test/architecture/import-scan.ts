// Reads what a TypeScript file imports and exports, without running it.
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import ts from 'typescript'

/** One import, re-export or `import()` (`dynamic`). `typeOnly`: gone when it runs. */
export type Import = {
  readonly specifier: string
  readonly line: number
  readonly typeOnly: boolean
  readonly dynamic: boolean
}
export type ScannedFile = {
  /** Below the scanned folder, with slashes. */
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
  readonly hasDefaultExport: boolean
}

/** Scans every .ts file below `dir`, sorted by path. */
export async function scanFolder(dir: string): Promise<ScannedFile[]> {
  const entries = await readdir(dir, { recursive: true })
  const paths = entries.filter((name) => name.endsWith('.ts')).sort()
  return Promise.all(paths.map(async (path) => scanText(path, await readFile(join(dir, path), 'utf8'))))
}

/** Scans the text of one file. */
export function scanText(path: string, text: string): ScannedFile {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const imports: Import[] = []
  let hasDefaultExport = false
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean, dynamic = false): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1
    imports.push({ specifier: specifier.text, line, typeOnly, dynamic })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, isTypeImport(node))
    if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly)
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true)
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], false, true)
    }
    if (isDefaultExport(node)) hasDefaultExport = true
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { path, text, imports, hasDefaultExport }
}

/** Path of the imported file below the scanned folder; undefined for a package. */
export function targetOf(file: Pick<ScannedFile, 'path'>, { specifier }: Import): string | undefined {
  return specifier.startsWith('.') ? posix.normalize(posix.join(dirname(file.path), specifier)) : undefined
}

/** Name of the imported package, `@scope/name` or `node:fs`; undefined for a file of ours. */
export function packageOf({ specifier }: Import): string | undefined {
  if (specifier.startsWith('.')) return undefined
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Every cycle of imports, those of types among them, as the paths of its files. */
export function findCycles(files: readonly ScannedFile[]): string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const cycles: string[][] = []
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) cycles.push([...trail.slice(start), path])
    const file = byPath.get(path)
    if (start >= 0 || done.has(path) || file === undefined) return
    for (const item of file.imports) {
      const target = targetOf(file, item)
      if (target !== undefined) walk(target, [...trail, path])
    }
    done.add(path)
  }
  for (const { path } of files) walk(path, [])
  return cycles
}

// `import { type X }` stays as `import {}` when types are stripped: only `import type` is gone.
function isTypeImport({ importClause }: ts.ImportDeclaration): boolean {
  return importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true
  if (ts.isExportSpecifier(node)) return node.name.text === 'default'
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : []
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
}
