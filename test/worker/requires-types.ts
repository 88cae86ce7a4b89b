// A test that `npm run types` runs: what the compiler says of `invoke`, which takes the names in `requires` and no others.
// An error that is expected and does not come is an error, too. Nothing here is executed.
import Type from 'typebox'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'
import type { HandlerContext } from '../../src/worker/handler.ts'
import type { Invoke } from '../../src/worker/invoke.ts'

const Text = Type.Object({ text: Type.String() })
type Text = { text: string }
const base = { verb: 'a', name: 'b', version: '1.0.0', input: Text, output: Text } as const

const single = defineCapability({
  ...base,
  requires: ['x:y', 'v:w'],
  handler: async ({ input, invoke }) => {
    await invoke('x:y')
    await invoke('v:w', { deep: 1 }, { timeoutMs: 5 })
    const seen: unknown[] = []
    for await (const { data } of invoke.events('x:y')) seen.push(data)
    // @ts-expect-error: another name
    await invoke('x:z')
    // @ts-expect-error: another name of events
    invoke.events('x:z')
    void invoke(
      // @ts-expect-error: two words, as it was before
      'x',
      'y',
    )
    // @ts-expect-error: a name that is made at run time
    await invoke(`x:${input.text}`)
    await needsOne(invoke)
    needsLess(invoke)
    // @ts-expect-error: a helper that calls more than this capability may
    await needsMore(invoke)
    return input
  },
})

export const afterTheHandler = defineCapability({
  ...base,
  handler: async ({ input, invoke }) => {
    await invoke('x:y')
    // @ts-expect-error: another name, also where requires comes later
    await invoke('v:w')
    return input
  },
  requires: ['x:y'],
})

export const streaming = defineCapability({
  ...base,
  streaming: true,
  requires: ['x:y'],
  handler: async function* ({ input, invoke }) {
    await invoke('x:y')
    // @ts-expect-error: another name, from a stream
    await invoke('v:w')
    yield { data: input }
  },
})

const NAMES = ['x:y'] as const
export const fromAList = defineCapability({
  ...base,
  requires: NAMES,
  handler: async ({ input, invoke }) => {
    await invoke('x:y')
    // @ts-expect-error: not in the list
    await invoke('v:w')
    return input
  },
})

export const withoutRequires = defineCapability({
  ...base,
  handler: async ({ input, invoke }) => {
    // @ts-expect-error: without requires nothing may be called
    await invoke('x:y')
    return input
  },
})

export const withEmptyRequires = defineCapability({
  ...base,
  requires: [],
  handler: async ({ input, invoke }) => {
    // @ts-expect-error: an empty list names nothing
    await invoke('x:y')
    return input
  },
})

// A handler that takes the context of fewer names, or of none, fits.
export const byFunction = [
  defineCapability({ ...base, requires: ['x:y', 'v:w'], handler: callsOne }),
  defineCapability({ ...base, requires: ['x:y'], handler: callsNone }),
  // @ts-expect-error: its requires lacks what the handler calls
  defineCapability({ ...base, requires: ['v:w'], handler: callsOne }),
]

// @ts-expect-error: not of the form verb:name
export const badName = defineCapability({ ...base, requires: ['hello'], handler: callsNone })

export const worker = defineWorker({ id: 'worker-a', capabilities: [single], requires: ['v:w', single.capability] })
// @ts-expect-error: not of the form verb:name
export const badWorker = defineWorker({ id: 'worker-a', capabilities: [single], requires: ['hello'] })

function callsOne({ input, invoke }: HandlerContext<Text, 'x:y'>): Promise<Text> {
  return invoke('x:y').then(() => input)
}

function callsNone({ input }: HandlerContext<Text>): Text {
  return input
}

function needsOne(invoke: Invoke<'x:y'>): Promise<unknown> {
  return invoke('x:y')
}

function needsLess(invoke: Invoke): boolean {
  return typeof invoke === 'function'
}

function needsMore(invoke: Invoke<'x:y' | 'more:names'>): Promise<unknown> {
  return invoke('more:names')
}
