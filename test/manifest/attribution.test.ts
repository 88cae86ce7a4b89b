// Whose call it is: a worker is granted what its own definition leads to, and nothing of its neighbours'.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { analyseCode, faultsOf, type Files } from './code.ts'

const NEIGHBOURS: Files = {
  'a.ts': `import { toText } from './shared.ts'
    import { b } from './b.ts'
    export const a = defineCapability({ verb: 'a', name: 'a', handler: ({ invoke }) => toText(invoke) })
    defineWorker({ id: 'worker-a', capabilities: [a], requires: [b.capability] })`,
  'b.ts': `import { toPdf } from './shared.ts'
    export const b = defineCapability({ verb: 'b', name: 'b', handler: ({ invoke }) => toPdf(invoke) })
    export const create = () => defineWorker({ id: 'worker-b', capabilities: [b] })`,
  'shared.ts': `export const toText = (invoke) => invoke('to', 'text')
    export const toPdf = (invoke) => invoke('to', NAMES.pdf)
    const NAMES = { pdf: 'pdf' } as const`,
  'registry.ts': `export const workers = { b: async () => (await import('./b.ts')).create() }`,
}

test('a helper beside another one, and a capability that is only named, bring no calls', () => {
  const { workers, faults } = analyseCode(NEIGHBOURS)
  expect(faults).toEqual([])
  expect(workers).toEqual([
    { id: 'worker-a', place: 'src/workers/a.ts:5:5', provided: ['a:a'], required: ['a:a', 'b:b', 'to:text'] },
    { id: 'worker-b', place: 'src/workers/b.ts:4:33', provided: ['b:b'], required: ['b:b', 'to:pdf'] },
  ])
})

test('two workers of one file keep their calls apart', () => {
  const one = (id: string) =>
    `const ${id} = defineCapability({ verb: '${id}', name: 'x', handler: (c) => c.invoke('call', '${id}') })
     defineWorker({ id: 'worker-${id}', capabilities: [${id}] })`
  const { workers } = analyseCode({ 'both.ts': `export function both() { ${one('a')}\n${one('b')} }` })
  expect(workers.map(({ required }) => required)).toEqual([
    ['a:x', 'call:a'],
    ['b:x', 'call:b'],
  ])
})

test('whatever the order of the files, the result is the same', () => {
  const expected = analyseCode(NEIGHBOURS)
  fc.assert(
    fc.property(fc.shuffledSubarray(Object.entries(NEIGHBOURS), { minLength: 4 }), (entries) => {
      expect(analyseCode(Object.fromEntries(entries))).toEqual(expected)
    }),
  )
})

test('a module outside the folder brings the calls that a worker comes to, and no others', () => {
  const files = {
    'src/shared/calls.ts': `export const used = (invoke) => invoke('to', 'text')
      export const unused = (invoke, verb) => invoke(verb, 'x')`,
    'a.ts': `import * as calls from '../shared/calls.ts'
      const a = defineCapability({ verb: 'a', name: 'a', handler: ({ invoke }) => calls.used(invoke) })
      defineWorker({ id: 'worker-a', capabilities: [a] })`,
  }
  const { workers, faults } = analyseCode(files)
  expect(faults).toEqual([])
  expect(workers[0]?.required).toEqual(['a:a', 'to:text'])
})

test('invoke of something else is no call', () => {
  const code = `import * as agents from 'agents'
    const model = new agents.Model()
    class Runner { invoke(x) { return model.invoke(x) } run() { return this.invoke(1) } }
    function invoke(x) { return new Runner().run(x) }
    const a = defineCapability({ verb: 'a', name: 'a', handler: ({ input }) => invoke(agents.invoke(input)) })
    defineWorker({ id: 'worker-a', capabilities: [a] })`
  const { workers, faults } = analyseCode({ 'a.ts': code })
  expect(faults).toEqual([])
  expect(workers[0]?.required).toEqual(['a:a'])
})

test.each([
  {
    what: 'a capability that no worker offers',
    code: "«defineCapability({ verb: 'a', name: 'a' })»",
    reason: /no defineWorker offers/,
  },
  {
    what: 'a call that no worker leads to',
    code: "export const search = (invoke) => «invoke('search', 'x')»",
    reason: /no defineWorker leads to this call/,
  },
])('$what is a fault', ({ code, reason }) => {
  const { found, marked, reasons } = faultsOf({ 'a.ts': `${code}\ndefineWorker({ id: 'worker-a', capabilities: [] })` })
  expect(found).toEqual(marked)
  expect(reasons).toMatch(reason)
})

test('types, tests and declarations bring nothing', () => {
  const code = `import type { Gone } from './gone.ts'
    export type Name = Parameters<typeof defineCapability>[0] | import('./gone.ts').Gone
    defineWorker({ id: 'worker-a', capabilities: [] })`
  expect(analyseCode({ 'a.ts': code })).toMatchObject({ workers: [{ id: 'worker-a' }], faults: [] })
})
