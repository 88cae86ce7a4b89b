// The values that the evaluator knows. Members and items are evaluated when they are asked for: one that cannot be told
// does no harm where nobody needs it.
import type ts from 'typescript'
import type { Capability } from '../../core/capability.ts'
import type { FunctionNode } from './scope.ts'

export type Lazy = () => Value
/** The arguments of the calls around, by parameter. */
export type Env = ReadonlyMap<ts.Node, Lazy>

export type Value =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly number: number }
  | { readonly kind: 'list'; readonly items: readonly Lazy[] }
  | { readonly kind: 'record'; member(name: string): Lazy | undefined; names(): readonly string[] }
  | { readonly kind: 'function'; readonly node: FunctionNode; readonly env: Env }
  | { readonly kind: 'runtime'; readonly name: 'defineCapability' | 'defineWorker' }
  /** `site`: the call of defineCapability that made it. */
  | { readonly kind: 'capability'; readonly capability: Capability; readonly site: ts.CallExpression }
  | { readonly kind: 'module'; readonly file: ts.SourceFile }
  | { readonly kind: 'foreign-module'; readonly specifier: string; readonly runtime: boolean }

/** What to call a value in a message. */
export function describe(value: Value): string {
  switch (value.kind) {
    case 'text':
      return 'a string'
    case 'number':
      return 'a number'
    case 'list':
      return 'an array'
    case 'record':
      return 'an object'
    case 'function':
    case 'runtime':
      return 'a function'
    case 'capability':
      return 'a capability'
    case 'module':
    case 'foreign-module':
      return 'a module'
  }
}
