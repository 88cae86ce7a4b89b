// The source files of workers, parsed: those of the folder, and those they import by relative path. Nothing is run.
import { statSync, readFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import ts from 'typescript'
import { faultAt, type Fault } from './fault.ts'
import { isDynamicImport, walk } from './syntax.ts'

/** Where an import leads. `foreign`: to code that is not read, a package or (`runtime`) the worker runtime. */
type Target =
  | { readonly kind: 'file'; readonly file: ts.SourceFile }
  | { readonly kind: 'foreign'; readonly runtime: boolean }
  | { readonly kind: 'missing'; readonly reason: string }

export type Sources = {
  readonly files: readonly ts.SourceFile[]
  /** Whether the file belongs to the folder itself: the others may serve somebody else, too. */
  isOwn(file: ts.SourceFile): boolean
  target(from: ts.SourceFile, specifier: string): Target
  /** Syntax errors, and imports that lead nowhere. */
  readonly faults: readonly Fault[]
}
/** The text of a file; undefined when there is none. */
type ReadSource = (path: string) => string | undefined

const SOURCE = /\.[cm]?[jt]sx?$/
const NO_SOURCE = /\.d\.[cm]?ts$|\.(test|spec)\.[cm]?[jt]sx?$/
const PACKAGE = /^(node:[a-z_/]+|(@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*(\/.*)?)$/i
const DATA = /\.(json|node|wasm|txt|css)$/
const EXTENSIONS = ['', '.ts', '.mts', '.js', '.mjs', '/index.ts', '/index.js']

/** Reads every source file below `path` (or that one file), without tests and declarations. @throws {Error} if there is none */
export async function loadSources(path: string): Promise<Sources> {
  const names = (await stat(path)).isFile() ? [path] : await namesBelow(path)
  if (names.length === 0) throw new Error(`${path}: there is no source file`)
  return createSources(names, readSource)
}

/** @param paths the files of the folder, in any order */
export function createSources(paths: readonly string[], read: ReadSource): Sources {
  const files = new Map<string, ts.SourceFile>()
  const faults: Fault[] = []
  const own = new Set(paths.map(normalize).filter((path) => !isRuntime(path, read)))
  for (const path of [...own].sort()) load(path)
  // A map goes on with what is added meanwhile: files imported by files that were imported.
  for (const file of files.values()) followImports(file)
  return { files: [...files.values()], isOwn: (file) => own.has(file.fileName), target, faults }

  function load(path: string): ts.SourceFile | undefined {
    const known = files.get(path)
    if (known !== undefined) return known
    const text = read(path)
    if (text === undefined) return undefined
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
    files.set(path, file)
    faults.push(...syntaxFaults(file))
    return file
  }

  function target(from: ts.SourceFile, specifier: string): Target {
    if (!specifier.startsWith('.')) {
      if (PACKAGE.test(specifier)) return { kind: 'foreign', runtime: false }
      return { kind: 'missing', reason: 'what it stands for is configured elsewhere: import by relative path' }
    }
    const path = normalize(join(dirname(from.fileName), specifier))
    if (DATA.test(path)) return { kind: 'foreign', runtime: false }
    const found = candidates(path).find((candidate) => files.has(candidate) || read(candidate) !== undefined)
    if (found === undefined) return { kind: 'missing', reason: `there is no file ${path}` }
    if (isRuntime(found, read)) return { kind: 'foreign', runtime: true }
    const file = load(found)
    return file === undefined ? { kind: 'missing', reason: `${found} cannot be read` } : { kind: 'file', file }
  }

  function followImports(file: ts.SourceFile): void {
    walk(file, (node) => {
      const specifier = specifierOf(node)
      if (specifier === undefined) return true
      if (!ts.isStringLiteralLike(specifier)) {
        faults.push(faultAt(specifier, 'which module is loaded is not known here: name it in the import'))
        return true
      }
      const found = target(file, specifier.text)
      if (found.kind === 'missing') faults.push(faultAt(specifier, found.reason))
      return true
    })
  }
}

/** What is imported when it runs; undefined for other nodes and for imports of types. */
function specifierOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isImportDeclaration(node)) {
    return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword ? undefined : node.moduleSpecifier
  }
  if (ts.isExportDeclaration(node)) return node.isTypeOnly ? undefined : node.moduleSpecifier
  return isDynamicImport(node) ? node.arguments[0] : undefined
}

// TypeScript's own convention: `./a.js` may mean the source a.ts.
function candidates(path: string): string[] {
  const source = path.replace(/\.([cm]?)js(x?)$/, '.$1ts$2')
  return [...EXTENSIONS.map((extension) => path + extension), source]
}

/** The worker runtime: the folder `worker` that has `define.ts`. */
function isRuntime(path: string, read: ReadSource): boolean {
  const dir = dirname(path)
  return basename(dir) === 'worker' && ['.ts', '.js'].some((ext) => read(join(dir, `define${ext}`)) !== undefined)
}

function syntaxFaults(file: ts.SourceFile): Fault[] {
  // Not in the public types, and the only way to get them without making a program.
  const { parseDiagnostics = [] } = file as unknown as { parseDiagnostics?: readonly ts.DiagnosticWithLocation[] }
  return parseDiagnostics.map(({ start, messageText }) => {
    const { line, character } = file.getLineAndCharacterOfPosition(start)
    const reason = ts.flattenDiagnosticMessageText(messageText, ' ')
    return { file: file.fileName, line: line + 1, column: character + 1, expression: 'syntax error', reason }
  })
}

async function namesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true })
  return entries
    .filter((name) => SOURCE.test(name) && !NO_SOURCE.test(name) && !/(^|\/)(node_modules|\..*)\//.test(name))
    .map((name) => join(dir, name))
    .sort()
}

function readSource(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path, 'utf8') : undefined
}
