// The code that a worker can come to: that in its definition, and in every declaration that is mentioned on the way. What
// serves another worker only is not counted, so that nobody is granted a neighbour's calls.
import ts from 'typescript'
import type { Changes } from './changes.ts'
import type { Origin, Resolver } from './modules.ts'
import { rootOfBinding } from './scope.ts'
import { isDynamicImport, isMember, isReference, memberName, walk } from './syntax.ts'

/**
 * Every syntax node that counts.
 * @param start the call of defineWorker
 * @param enters whether to look into this call; asked for every call on the way
 */
export function findReachable(
  start: ts.CallExpression,
  enters: (call: ts.CallExpression) => boolean,
  { resolver, changes }: { resolver: Resolver; changes: Changes },
): ReadonlySet<ts.Node> {
  const seen = new Set<ts.Node>()
  const queue: ts.Node[] = [...start.arguments]
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) visit(node)
  return seen

  function visit(root: ts.Node): void {
    walk(root, (node) => {
      if (seen.has(node)) return false
      seen.add(node)
      if (ts.isCallExpression(node)) {
        if (!enters(node)) return false
        if (isDynamicImport(node)) followModule(node.arguments[0])
      }
      if (ts.isExportDeclaration(node)) followModule(node.moduleSpecifier)
      if (isReference(node)) follow(node)
      return true
    })
  }

  function follow(name: ts.Identifier): void {
    const origin = resolver.tryOrigin(name)
    const { parent } = name
    const member = isMember(parent) && parent.expression === name ? memberName(parent) : undefined
    // Of `module.name` only that export; of the module itself, all that it has.
    const isPart = origin?.kind === 'module' && member !== undefined
    enqueue(isPart ? resolver.exported(origin.file, member, parent) : origin)
  }

  function followModule(specifier: ts.Expression | undefined): void {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) enqueue(resolver.imported(specifier, '*'))
  }

  function enqueue(origin: Origin | undefined): void {
    if (origin?.kind === 'module') queue.push(origin.file)
    if (origin?.kind === 'expression') queue.push(origin.node)
    if (origin?.kind !== 'declaration') return
    const { node } = origin
    // What is put into it later belongs to it: `handlers.set('a', …)`.
    queue.push(ts.isBindingElement(node) ? rootOfBinding(node) : node, ...changes.changesOf(node))
  }
}
