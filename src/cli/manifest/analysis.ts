// From source files to what each worker provides and needs, or to faults: where the text does not tell, nothing is guessed.
import ts from 'typescript'
import { CapabilityError, makeCapability, type Capability } from '../../core/capability.ts'
import { indexChanges } from './changes.ts'
import { readDefinition, type Definition } from './definition.ts'
import { createEvaluate, type Evaluate } from './evaluate.ts'
import { attempt, compareText, faultAt, placeOf, sortFaults, UnresolvedError, type Fault } from './fault.ts'
import { createInvokeNames, type InvokeNames } from './invoke-names.ts'
import { createResolver } from './modules.ts'
import { findReachable } from './reach.ts'
import { createSight, type Sight } from './sight.ts'
import type { Sources } from './sources.ts'
import { walk } from './syntax.ts'
import { describe } from './values.ts'

/** `place`: file:line:column of its defineWorker. `provided` and `required` are sorted. */
export type CodeWorker = {
  readonly id: string
  readonly place: string
  readonly provided: readonly Capability[]
  /** What it provides, declares in `requires`, and calls. */
  readonly required: readonly Capability[]
}
/** `workers` is whole only when there are no faults. */
export type Analysis = { readonly workers: readonly CodeWorker[]; readonly faults: readonly Fault[] }

/** What stands in the files, by its node. */
type Findings = {
  readonly definitions: ReadonlyMap<ts.CallExpression, 'defineCapability' | 'defineWorker'>
  readonly invocations: readonly ts.CallExpression[]
  readonly losses: readonly { readonly node: ts.Node; readonly reason: string }[]
}
type Reached = {
  readonly site: ts.CallExpression
  readonly definition: Definition
  readonly nodes: ReadonlySet<ts.Node>
}

/** Every worker that the sources define, in the order of their ids, whatever the order of the files. */
export function analyse(sources: Sources): Analysis {
  const resolver = createResolver(sources)
  const changes = indexChanges(sources, resolver)
  const evaluate = createEvaluate(resolver, changes)
  const names = createInvokeNames(resolver)
  const { definitions, invocations, losses } = search(sources, {
    evaluate,
    names,
    sight: createSight({ sources, resolver, names }),
  })
  const faults = [...sources.faults]

  const reached = sitesOf(definitions, 'defineWorker').map((site): Reached => {
    const definition = readDefinition(site, evaluate, faults)
    const enters = (call: ts.CallExpression) => !definitions.has(call) || definition.made.has(call)
    const nodes = attempt(site, faults, () => findReachable(site, enters, { resolver, changes }))
    return { site, definition, nodes: nodes ?? new Set() }
  })
  // Files outside the folder may serve others too: only what a worker comes to counts.
  const counts = (node: ts.Node) => sources.isOwn(node.getSourceFile()) || reached.some(({ nodes }) => nodes.has(node))

  for (const { node, reason } of losses) if (counts(node)) faults.push(faultAt(node, reason))
  const calls = new Map<ts.CallExpression, Capability>()
  for (const call of invocations.filter(counts)) {
    const capability = attempt(call, faults, () => invokedBy(call, evaluate))
    if (capability !== undefined) calls.set(call, capability)
  }
  faults.push(...doubledIds(reached))
  // Only then: a worker that could not be read leaves its capabilities and calls without one.
  if (faults.length === 0) faults.push(...unclaimed(sitesOf(definitions, 'defineCapability'), calls, reached, sources))
  const workers = reached.flatMap((worker) => toWorker(worker, calls)).sort((a, b) => compareText(a.id, b.id))
  return { workers, faults: sortFaults(faults) }
}

function search(
  { files }: Sources,
  { evaluate, names, sight }: { evaluate: Evaluate; names: InvokeNames; sight: Sight },
): Findings {
  const definitions = new Map<ts.CallExpression, 'defineCapability' | 'defineWorker'>()
  const invocations: ts.CallExpression[] = []
  const losses: { node: ts.Node; reason: string }[] = []
  for (const file of files) {
    walk(file, (node) => {
      const reason = sight.lostAt(node)
      if (reason !== undefined) losses.push({ node, reason })
      if (!ts.isCallExpression(node)) return true
      const name = runtimeName(node, evaluate)
      if (name !== undefined) definitions.set(node, name)
      else if (names.isInvoke(node.expression)) invocations.push(node)
      return true
    })
  }
  return { definitions, invocations, losses }
}

function runtimeName({ expression }: ts.CallExpression, evaluate: Evaluate) {
  try {
    const callee = evaluate(expression)
    return callee.kind === 'runtime' ? callee.name : undefined
  } catch (cause: unknown) {
    // Not known, so not a function of the runtime: where one of those gets out of sight is a fault of its own.
    if (cause instanceof UnresolvedError) return undefined
    throw cause
  }
}

function invokedBy(call: ts.CallExpression, evaluate: Evaluate): Capability {
  const [verb, name] = [0, 1].map((index) => {
    const argument = call.arguments[index]
    if (argument === undefined) throw new UnresolvedError(call, 'is called without verb and capability')
    if (call.arguments.slice(0, index + 1).some(ts.isSpreadElement)) {
      throw new UnresolvedError(call, 'is called with arguments that are not written out')
    }
    const value = evaluate(argument)
    if (value.kind === 'text') return value.text
    throw new UnresolvedError(argument, `is ${describe(value)}, not a string`)
  })
  try {
    return makeCapability(verb ?? '', name ?? '')
  } catch (cause: unknown) {
    if (cause instanceof CapabilityError) throw new UnresolvedError(call, cause.message)
    throw cause
  }
}

function doubledIds(reached: readonly Reached[]): Fault[] {
  const first = new Map<string, ts.Node>()
  return reached.flatMap(({ site, definition: { id } }) => {
    if (id === undefined) return []
    const other = first.get(id)
    if (other === undefined) first.set(id, site)
    return other === undefined ? [] : [faultAt(site, `${id} is also defined at ${placeOf(other)}`)]
  })
}

function unclaimed(
  capabilities: readonly ts.CallExpression[],
  calls: ReadonlyMap<ts.CallExpression, Capability>,
  reached: readonly Reached[],
  sources: Sources,
): Fault[] {
  const isOwn = (node: ts.Node) => sources.isOwn(node.getSourceFile())
  const idle = capabilities.filter(
    (site) => isOwn(site) && !reached.some(({ definition }) => definition.made.has(site)),
  )
  const stray = [...calls.keys()].filter((call) => !reached.some(({ nodes }) => nodes.has(call)))
  return [
    ...idle.map((site) => faultAt(site, 'no defineWorker offers this capability')),
    ...stray.map((call) => faultAt(call, 'no defineWorker leads to this call: which worker makes it is not known')),
  ]
}

function toWorker({ site, definition, nodes }: Reached, calls: ReadonlyMap<ts.CallExpression, Capability>) {
  const { id, provided, requires } = definition
  if (id === undefined) return []
  const called = [...calls].filter(([call]) => nodes.has(call)).map(([, capability]) => capability)
  return [
    { id, place: placeOf(site), provided: sorted(provided), required: sorted([...provided, ...requires, ...called]) },
  ]
}

function sitesOf(definitions: Findings['definitions'], name: string): ts.CallExpression[] {
  return [...definitions].filter(([, value]) => value === name).map(([site]) => site)
}

function sorted(capabilities: readonly Capability[]): Capability[] {
  return [...new Set(capabilities)].sort(compareText)
}
