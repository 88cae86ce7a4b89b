// What the text does not tell is a fault at its place (between the marks), never a guess and never left out.
import { describe, expect, test } from 'vitest'
import { faultsOf, workerCode, type Files } from './code.ts'

type Case = readonly [files: Files, reason: RegExp]

const defined = (code: string, verb: string): Files => ({
  'a.ts': workerCode(code, `[defineCapability({ verb: ${verb}, name: 'x' })]`),
})
const handled = (handler: string, code = ''): Files => ({
  'a.ts': workerCode(code, `[defineCapability({ verb: 'convert', name: 'x', handler: ${handler} })]`),
})

describe('a name that the text does not tell', () => {
  const cases: Readonly<Record<string, Case>> = {
    'a verb from a call': [defined("import { pick } from 'elsewhere'", '«pick»()'), /comes from elsewhere/],
    'a verb of the environment': [defined('', "«process».env['VERB']"), /is not declared in the sources/],
    'a computed member': [
      defined("const T = { a: 'convert' }\nexport const of = (kind) => T[kind]", 'of(«globalThis».kind)'),
      /not declared/,
    ],
    'a member that is not there': [defined("const T = { a: 'convert' }", '«T.b»'), /without a known member "b"/],
    'a parameter': [
      {
        'a.ts':
          "export const make = (verb) => defineWorker({ id: 'worker-a', capabilities: [defineCapability({ verb: «verb», name: 'x' })] })",
      },
      /is a parameter/,
    ],
    'a destructured parameter': [
      { 'a.ts': 'export const make = ({ id }) => defineWorker({ id: «id», capabilities: [] })' },
      /is a parameter/,
    ],
    'a condition': [defined('const flag = true', "«flag ? 'a' : 'b'»"), /depends on a condition/],
    'a default after ??': [defined('', "«process.env.VERB ?? 'convert'»"), /depends on what it is computed from/],
    'a template with something unknown': [
      defined("import { to } from 'elsewhere'", '`to_${«to»}`'),
      /comes from elsewhere/,
    ],
    'a tagged template': [defined('const tag = String.raw', '«tag`x`»'), /tag function/],
    'a new object': [defined('', "«new String('x')»"), /made when it runs/],
    'a let': [defined("let verb = 'convert'", '«verb»'), /is no const/],
    'a loop variable': [
      {
        'a.ts':
          "for (const verb of ['a']) defineWorker({ id: 'worker-a', capabilities: [defineCapability({ verb: «verb», name: 'x' })] })",
      },
      /every turn of its loop/,
    ],
    'a function that may end in two ways': [
      defined("function verb(a) { if (a) «return 'a';» return 'b' }", 'verb(1)'),
      /one of several ways/,
    ],
    'a function that may end without a value': [
      defined("function verb(a) { if (a) { «return 'a'» } }", 'verb(1)'),
      /one of several ways/,
    ],
    'a generator': [defined("function* verb() { return 'a' }", '«verb()»'), /generator/],
    'a const that refers to itself': [defined('const a = «b»\nconst b = a', 'a'), /refers to itself/],
    'a class member': [defined("class Names { static verb = 'a' }", '«Names».verb'), /class or an enum/],
    'a getter': [defined("const T = { «get verb() { return 'a' }» }", 'T.verb'), /computed when it is read/],
    'a rest pattern': [defined("const { ...rest } = { verb: 'a' }", '«rest».verb'), /rest of a pattern/],
    'a number': [
      { 'a.ts': workerCode('', "[«defineCapability({ verb: 7, name: 'x' })»]") },
      /verb is a number, not a string/,
    ],
    'no verb at all': [{ 'a.ts': workerCode('', "[«defineCapability({ name: 'x' })»]") }, /has no verb/],
    'a verb that is no word': [
      { 'a.ts': workerCode('', "[«defineCapability({ verb: 'Convert', name: 'x' })»]") },
      /lower-case word/,
    ],
    'an export that is not there': [
      { 'b.ts': '', 'a.ts': workerCode("import { verb } from «'./b.ts'»", "[defineCapability({ verb, name: 'x' })]") },
      /exports no "verb"/,
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [files, reason]) => {
    const { found, marked, reasons } = faultsOf(files)
    expect(reasons).toMatch(reason)
    expect(found).toEqual(marked)
  })
})

describe('a list that the text does not tell', () => {
  const list = (code: string, capabilities: string, options = ''): Files => ({
    'a.ts': workerCode(code, capabilities, options),
  })
  const B = "const b = defineCapability({ verb: 'b', name: 'b' })\n"
  const cases: Readonly<Record<string, Case>> = {
    'a spread of something unknown': [list("import { more } from 'elsewhere'", '[...«more»]'), /comes from elsewhere/],
    'a spread of no array': [list("const more = { a: 'x' }", '[«...more»]'), /spreads an object/],
    'a conditional spread': [list(`${B}const flag = true`, '[...(«flag ? [b] : []»)]'), /condition/],
    'a foreign capability': [list("import { other } from 'elsewhere'", '[«other»]'), /comes from elsewhere/],
    'a list that grows later': [list(`${B}const all = []\n«all.push(b)»`, 'all'), /changes all after/],
    'a list that grows under another name': [
      list("const all = ['a:a']\nconst other = all\n«other.push('b:b')»", '[]', 'requires: all'),
      /changes all after/,
    ],
    'a list that another file changes': [
      {
        'list.ts': "export const all = ['a:a']",
        'b.ts': "import { all } from './list.ts'\n«all[0] = 'b:b'»",
        'a.ts': workerCode("import { all } from './list.ts'", '[]', 'requires: all'),
      },
      /changes all after/,
    ],
    'a list that a function changes': [
      list("const add = (names) => { «names.push('b:b')» }\nconst all = ['a:a']\nadd(all)", '[]', 'requires: all'),
      /may change all/,
    ],
    'a list that foreign code may change': [
      list("import { add } from 'elsewhere'\nconst all = ['a:a']\n«add(all)»", '[]', 'requires: all'),
      /may change all: declare that `as const`/,
    ],
    'options that are extended': [
      {
        'a.ts':
          "const options = { id: 'worker-a', capabilities: [] }\n«Object.assign(options, {})»\ndefineWorker(options)",
      },
      /changes options/,
    ],
    'a parameter that is assigned': [
      list("function make(verb) { «verb = 'b'»; return defineCapability({ verb, name: 'x' }) }", "[make('a')]"),
      /changes verb/,
    ],
    'a requirement that is no verb:name': [
      { 'a.ts': "«defineWorker({ id: 'worker-a', capabilities: [], requires: ['ab'] })»" },
      /"ab" is not of the form verb:name/,
    ],
    'a string among the capabilities': [
      { 'a.ts': "«defineWorker({ id: 'worker-a', capabilities: ['a:b'] })»" },
      /capabilities has a string/,
    ],
    'capabilities that are no list': [
      { 'a.ts': "«defineWorker({ id: 'worker-a', capabilities: 'a:b' })»" },
      /capabilities is a string, not an array/,
    ],
    'an id with odd characters': [{ 'a.ts': "«defineWorker({ id: 'worker a', capabilities: [] })»" }, /must match/],
    'an id that is taken': [
      {
        'b.ts':
          "defineWorker({ id: 'worker-b', capabilities: [] })\n«defineWorker({ id: 'worker-b', capabilities: [] })»",
      },
      /also defined at src\/workers\/b\.ts:2:1/,
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [files, reason]) => {
    const { found, marked, reasons } = faultsOf(files)
    expect(reasons).toMatch(reason)
    expect(found).toEqual(marked)
  })

  test('a constant list may be handed to anybody', () => {
    const code = "import { log } from 'elsewhere'\nconst all = ['a:a'] as const\nlog(all)"
    expect(faultsOf(list(code, '[]', 'requires: all')).found).toEqual([])
  })
})

describe('a call that the text does not tell', () => {
  const cases: Readonly<Record<string, Case>> = {
    'a verb of the input': [handled("({ input, invoke }) => invoke(«input».verb, 'x')"), /is a parameter/],
    'a name from a function': [
      handled("({ invoke }) => invoke('a', «name»())", "import { name } from 'elsewhere'"),
      /elsewhere/,
    ],
    'a parameter of a helper': [
      handled("({ invoke }) => call(invoke, 'a')", "const call = (invoke, verb) => invoke(«verb», 'x')"),
      /is a parameter/,
    ],
    'arguments in a list': [
      handled('({ invoke }) => «invoke(...names)»', "const names = ['a', 'b']"),
      /not written out/,
    ],
    'no arguments': [handled('({ invoke }) => «invoke()»'), /without verb and capability/],
    'words that are none': [handled("({ invoke }) => «invoke('a', 'B')»"), /lower-case word/],
    'a computed member of the context': [
      handled("(c) => «c»[c.input.method]('a', 'b')"),
      /which member of the context/,
    ],
    'invoke in foreign hands': [
      handled('({ invoke }) => run(«invoke»)', "import { run } from 'elsewhere'"),
      /out of sight/,
    ],
    'invoke in an object for foreign hands': [
      handled('({ invoke }) => run({ «invoke» })', "import { run } from 'elsewhere'"),
      /out of sight/,
    ],
    'invoke under a name that nobody knows': [
      handled('({ invoke }) => run(«invoke»)', "const run = (f) => f('a', 'b')"),
      /out of sight/,
    ],
    'invoke that is bound': [handled("(c) => «c.invoke».bind(null)('a', 'b')"), /out of sight/],
    'invoke that is returned': [
      handled("(c) => { const get = () => «c.invoke»; return get()('a', 'b') }"),
      /out of sight/,
    ],
    'invoke in a list': [handled("(c) => [«c.invoke»][0]('a', 'b')"), /out of sight/],
    'invoke in an assignment pattern': [
      handled("(c) => { let call; («{ invoke: call } = c»); return call('a', 'b') }"),
      /in an assignment/,
    ],
    'a pattern of invoke with a rest': [
      handled('(c) => { const { ...rest } = «c.invoke»; return rest }'),
      /out of sight/,
    ],
    'the context in foreign hands': [
      handled('(c) => run(«c»)', "import { run } from 'elsewhere'"),
      /context gets out of sight/,
    ],
    'the context in an object for foreign hands': [
      handled('(c) => run({ ...«c» })', "import { run } from 'elsewhere'"),
      /context gets out of sight/,
    ],
    'invoke in a variable for foreign hands': [
      handled(
        '({ invoke }) => { const tools = { in: { invoke } }; return run(«tools») }',
        "import { run } from 'elsewhere'",
      ),
      /gets out of sight/,
    ],
    'a foreign handler': [handled('«run»', "import { run } from 'elsewhere'"), /comes from elsewhere/],
    'a foreign function that makes the handler': [
      handled("«lib.agent»({ tools: ['a'] })", "import * as lib from 'elsewhere'"),
      /comes from elsewhere/,
    ],
    'a handler in foreign options': [
      {
        'a.ts': workerCode(
          "import { common } from 'elsewhere'",
          "[defineCapability({ ...«common», verb: 'convert', name: 'x' })]",
        ),
      },
      /comes from elsewhere/,
    ],
    'the context for a function without its type': [
      handled('(c) => run(«c»)', "const run = (x) => x['inv' + 'oke']('a', 'b')"),
      /context gets out of sight/,
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [files, reason]) => {
    const { found, marked, reasons } = faultsOf(files)
    expect(reasons).toMatch(reason)
    expect(found).toEqual(marked)
  })
})

describe('code that cannot be followed', () => {
  const cases: Readonly<Record<string, Case>> = {
    'an import of a module that is not named': [
      { 'a.ts': workerCode("const name = './b.ts'\nconst b = await import(«name»)", '[]') },
      /which module is loaded/,
    ],
    'a require of one': [{ 'a.ts': workerCode('export const load = (name) => require(«name»)', '[]') }, /which module/],
    'an import of a file that is not there': [
      { 'a.ts': workerCode("import { b } from «'./b.ts'»", '[]') },
      /there is no file src\/workers\/b\.ts/,
    ],
    'an import that is configured elsewhere': [
      { 'a.ts': workerCode("import { b } from «'#names'»\nimport { c } from «'@/names'»", '[]') },
      /configured elsewhere/,
    ],
    'a dynamic import of the runtime': [
      {
        'src/workers/a.ts':
          "const m = «import('../worker/define.ts')»\nm.then((d) => d.defineWorker({ id: 'worker-a' }))",
      },
      /must be imported at the top/,
    ],
    'a function of the runtime as a value': [
      { 'a.ts': workerCode("const all = [{ verb: 'a', name: 'a' }].map(«defineCapability»)", '[]') },
      /out of sight/,
    ],
    'a function of the runtime that may be replaced': [
      { 'a.ts': workerCode('let make = «defineCapability»', '[]') },
      /out of sight/,
    ],
    'the runtime as a whole': [
      {
        'a.ts': workerCode(
          "import * as crank from '../worker/define.ts'\nconst f = «crank»['define' + 'Worker']",
          '[]',
        ),
      },
      /out of sight/,
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [files, reason]) => {
    const { found, marked, reasons } = faultsOf(files)
    expect(reasons).toMatch(reason)
    expect(found).toEqual(marked)
  })

  test('a syntax error', () => {
    const { found, reasons } = faultsOf({ 'a.ts': workerCode('const = 1', '[]') })
    expect(found[0]).toBe('src/workers/a.ts:2:7 syntax error')
    expect(reasons).toMatch(/expected/)
  })
})

test('a fault in another file says which call needed it', () => {
  const files = {
    'names.ts': 'export let verb = 1',
    'a.ts': workerCode("import { verb } from './names.ts'", "[defineCapability({ verb: «verb», name: 'x' })]"),
  }
  expect(faultsOf(files).found).toEqual(faultsOf(files).marked)
})
