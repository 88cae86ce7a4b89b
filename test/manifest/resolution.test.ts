// Every way of writing a name that the text alone tells.
import { expect, test } from 'vitest'
import { analyseCode, readWorker, workerCode, type Files } from './code.ts'

const CAPABILITY = "defineCapability({ verb: 'convert', name: 'email_to_text' })"
const one = ['convert:email_to_text']

const provided: Readonly<Record<string, Files>> = {
  'a literal': { 'a.ts': workerCode('', `[${CAPABILITY}]`) },
  'a const': { 'a.ts': workerCode(`const toText = ${CAPABILITY}`, '[toText]') },
  'an alias of a const': { 'a.ts': workerCode(`const a = ${CAPABILITY}\nconst b = a`, '[b]') },
  'const words': {
    'a.ts': workerCode(
      "const verb = 'convert'\nconst WORD = 'email_to_text' as const\nconst c = defineCapability({ verb, name: WORD })",
      '[c]',
    ),
  },
  'members of a table': {
    'a.ts': workerCode(
      "const T = { convert: { text: 'email_to_text' } } as const\n",
      "[defineCapability({ verb: 'convert', name: T.convert['text'] })]",
    ),
  },
  'a computed member with a constant key': {
    'a.ts': workerCode(
      "const KEY = 'text'\nconst T = { [KEY]: 'email_to_text' }",
      "[defineCapability({ verb: 'convert', name: T[KEY] })]",
    ),
  },
  'an item of an array': {
    'a.ts': workerCode("const T = ['convert', 'email_to_text']", '[defineCapability({ verb: T[0], name: T[1] })]'),
  },
  'a destructured table': {
    'a.ts': workerCode(
      "const { a: [verb], b: { name } = { name: 'email_to_text' } } = { a: ['convert'] }",
      '[defineCapability({ verb, name })]',
    ),
  },
  'a template without substitution': {
    'a.ts': workerCode('', '[defineCapability({ verb: `convert`, name: `email_to_text` })]'),
  },
  'a template of constants': {
    'a.ts': workerCode(
      "const from = 'email', to = { text: 'text' }",
      '[defineCapability({ verb: `convert`, name: `${from}_to_${to.text}` })]',
    ),
  },
  'a sum of constants': {
    'a.ts': workerCode("const to = '_to_text'", "[defineCapability({ verb: 'convert', name: 'email' + to })]"),
  },
  'casts, satisfies, parentheses and non-null': {
    'a.ts': workerCode(
      `const c = (${CAPABILITY} as unknown) satisfies unknown`,
      '[c!]',
      'requires: <string[]>([] as const)',
    ),
  },
  'spread options, the last one wins': {
    'a.ts': workerCode(
      "const common = { verb: 'classify', name: 'x', version: '1.0.0' }\nconst options = { ...common, verb: 'convert' }",
      "[defineCapability({ ...options, name: 'email_to_text' })]",
    ),
  },
  'unknown options before the known ones': {
    'a.ts': workerCode(
      "import { common } from 'elsewhere'",
      "[defineCapability({ ...common(), verb: 'convert', name: 'email_to_text', handler: () => 1 })]",
    ),
  },
  'a spread array of capabilities': { 'a.ts': workerCode(`const all = [${CAPABILITY}]`, '[...all]') },
  'options of the worker in a const': {
    'a.ts': `const options = { id: 'worker-a', capabilities: [${CAPABILITY}] }\ndefineWorker(options)`,
  },
  'a function that returns the definition': {
    'a.ts': `export function create(clock = Date.now) {
      const toText = ${CAPABILITY}
      return defineWorker({ id: 'worker-a', capabilities: [toText] })
    }`,
  },
  'an arrow function, and an async one': {
    'a.ts': `const make = async () => ${CAPABILITY}
      export const create = async () => defineWorker({ id: 'worker-a', capabilities: [await make()] })`,
  },
  'a function of ours with arguments, defaults and a rest': {
    'a.ts': workerCode(
      `function make({ name }: { name: string }, verb = 'convert') { return [defineCapability({ verb, name })] }
       const all = (...names: string[]) => names.map((name) => make({ name })[0])`,
      "all('email_to_text')",
    ),
  },
  'a method of a table': {
    'a.ts': workerCode(`const makers = { text() { return ${CAPABILITY} } }`, '[makers.text()]'),
  },
  'map, concat, Object.values, Object.keys and Object.freeze': {
    'a.ts': workerCode(
      `const names = Object.freeze({ email_to_text: 'convert' })
       const byKey = Object.keys(names).map((name) => defineCapability({ verb: 'convert', name }))
       const byVerb = Object.values(names).map((verb) => defineCapability({ verb, name: 'email_to_text' }))`,
      'byKey.concat(byVerb)',
    ),
  },
  'a named import': {
    'names.ts': "export const VERB = 'convert'\nconst n = 'email_to_text'\nexport { n as name }",
    'a.ts': workerCode("import { VERB, name } from './names.ts'", '[defineCapability({ verb: VERB, name })]'),
  },
  'a namespace import': {
    'names.ts': "export const [verb, name] = ['convert', 'email_to_text']",
    'a.ts': workerCode(
      "import * as names from './names.ts'\nconst { verb } = names",
      '[defineCapability({ verb, name: names.name })]',
    ),
  },
  'a default import': {
    'capability.ts': `export default ${CAPABILITY}`,
    'a.ts': workerCode("import capability from './capability.ts'", '[capability]'),
  },
  're-exports, with and without names': {
    'deep.ts': "export const V = 'convert'\nexport const N = 'email_to_text'",
    'barrel.ts': "export { V as verb } from './deep.ts'\nexport * from './deep.ts'\nexport * as all from './deep.ts'",
    'a.ts': workerCode(
      "import { verb, N, all } from './barrel.ts'\nconst v: typeof verb = all.V",
      '[defineCapability({ verb: v, name: N })]',
    ),
  },
  'modules that re-export each other': {
    'b.ts': "export * from './c.ts'\nexport const VERB = 'convert'",
    'c.ts': "export * from './b.ts'\nexport const NAME = 'email_to_text'",
    'a.ts': workerCode("import { NAME, VERB } from './b.ts'", '[defineCapability({ verb: VERB, name: NAME })]'),
  },
  'an import outside the folder, by the name of the compiled file': {
    'src/shared/names.ts': "export const NAME = 'email_to_text'",
    'a.ts': workerCode(
      "import { NAME } from '../shared/names.js'",
      "[defineCapability({ verb: 'convert', name: NAME })]",
    ),
  },
  'an awaited import of a constant module': {
    'capability.ts': `export const toText = ${CAPABILITY}`,
    'a.ts': workerCode("const { toText } = await import('./capability.ts')", '[toText]'),
  },
  'the functions of the runtime under other names': {
    'src/workers/folder/a.ts': `import * as crank from '../../worker/define.ts'
      import { defineWorker as worker } from '../../worker/define.ts'
      const { defineCapability: capability } = crank
      const make = capability
      worker({ id: 'worker-a', capabilities: [make({ verb: 'convert', name: 'email_to_text' })] })`,
  },
  'the functions of the runtime from a package, passed on by a module': {
    'src/workers/runtime.ts': "export * from 'crank-controller/worker'",
    'src/workers/a.ts': `import { defineCapability, defineWorker } from './runtime.ts'\n${workerCode('', `[${CAPABILITY}]`)}`,
  },
  'shadowed names': {
    'a.ts': workerCode(
      `const name = 'wrong'
       function make() { const name = 'email_to_text'; { const name = 'wrong'; void name } return defineCapability({ verb: 'convert', name }) }`,
      '[make()]',
    ),
  },
}

test.each(Object.entries(provided))('reads %s', (_, files) => {
  expect(readWorker(files)).toEqual({ provided: one, required: one })
})

const HANDLER: Readonly<Record<string, string>> = {
  'a destructured invoke': "({ invoke }) => invoke('search', 'documents')",
  'a renamed one': "({ invoke: call }) => call('search', 'documents', {})",
  'the member of the context': "(context) => context.invoke('search', 'documents')",
  'a member by its name in brackets': "(c) => c['invoke']?.('search', 'documents')",
  'events of it': "async function* ({ invoke }) { yield* invoke.events('search', 'documents') }",
  'events of the context': "(context) => context.invoke.events('search', 'documents')",
  'destructured events': "({ invoke: { events: stream } }) => stream('search', 'documents')",
  'an alias': "(c) => { const call = c.invoke, { events } = call; return events('search', 'documents') }",
  'a const in the handler': "(c) => { const { invoke } = c; return (invoke as any)('search', `documents`) }",
  'names by constants': '({ invoke }) => invoke(NAMES.verb, NAMES.name)',
  'a helper with invoke': '({ invoke }) => search(invoke)',
  'a helper by its type': '(context) => searchTyped(context.invoke)',
  'a helper with the context': '(context) => searchIn(context)',
  'a helper with an object': '({ invoke }) => searchWith({ invoke })',
  'a class with invoke': '({ invoke }) => new Searcher(invoke).run()',
  'a table that is filled later': "TABLE.get('x')",
  'a foreign wrapper of a function': "retry(({ invoke }) => invoke('search', 'documents'))",
  'an object in a variable': '({ invoke }) => { const tools = { invoke }; return searchWith(tools) }',
  'a function named as the handler': 'handle',
}
const HELPERS = `
  import { retry } from 'elsewhere'
  const NAMES = { verb: 'search', name: 'documents' } as const
  const search = (invoke) => invoke('search', 'documents')
  const searchTyped = (call: Invoke) => call('search', 'documents')
  function searchIn(c: HandlerContext<unknown>) { return c.invoke('search', 'documents') }
  const searchWith = (tools) => tools.invoke('search', 'documents')
  class Searcher { constructor(invoke) { this.invoke = invoke } run() { return this.invoke('search', 'documents') } }
  const TABLE = new Map()
  TABLE.set('x', searchIn)
  async function handle(context) { return search(context.invoke) }`

test.each(Object.entries(HANDLER))('finds a call through %s', (_, handler) => {
  const rest = Object.values(HANDLER).map((other, at) => `'h${at}': ${other}`)
  const capability = `defineCapability({ verb: 'convert', name: 'email_to_text', handler: ${handler} })`
  // The others are there too, for another worker: every helper has its caller.
  const others = `defineWorker({ id: 'worker-b', capabilities: [], helpers: { ${rest.join(', ')} } })`
  const { workers, faults } = analyseCode({ 'a.ts': `${workerCode(HELPERS, `[${capability}]`)}${others}` })
  expect(faults).toEqual([])
  expect(workers[0]).toMatchObject({ provided: one, required: ['convert:email_to_text', 'search:documents'] })
})

test('required is what the worker provides, requires and calls, sorted and each once', () => {
  const code = `
    const b = defineCapability({ verb: 'b', name: 'b', handler: ({ invoke }) => invoke('d', 'd') })
    const a = defineCapability({ verb: 'a', name: 'a', handler: ({ invoke }) => invoke('b', 'b') })
    const own = [a, b]`
  const requires = "requires: ['c:c', ...own.map(({ capability }) => capability), a.capability]"
  expect(readWorker({ 'a.ts': workerCode(code, 'own', requires) })).toEqual({
    provided: ['a:a', 'b:b'],
    required: ['a:a', 'b:b', 'c:c', 'd:d'],
  })
})
