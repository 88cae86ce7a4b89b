// The files that `crank worker new` writes: a minimal complete worker, and a test that uses the runtime.
import { splitCapability, type Capability } from '../../core/capability.ts'

/** `name`: with underscores, such as greeting_cards. */
export type NewWorker = { readonly name: string; readonly capability: Capability }

/** src/workers/<name>.ts */
export function workerSource(worker: NewWorker): string {
  return `// ${worker.capability} answers with the text that it is given: put here what it really does.
import Type from 'typebox'
import { defineCapability, defineWorker, type WorkerDefinition } from '../worker/define.ts'

${SCHEMAS}
export function ${factoryName(worker.name)}(): WorkerDefinition {
${capabilitySource(worker).replaceAll(/^(?=.)/gm, '  ')}  return defineWorker({ id: '${workerId(worker.name)}', capabilities: [capability] })
}
`
}

/** The schemas of every new worker. */
export const SCHEMAS = `const Input = Type.Object({ text: Type.String({ minLength: 1, maxLength: 10_000 }) }, { additionalProperties: false })
const Output = Type.Object({ text: Type.String() }, { additionalProperties: false })
`

/** Its capability, as a statement. */
export function capabilitySource({ capability }: NewWorker): string {
  const { verb, name } = splitCapability(capability)
  return `const capability = defineCapability({
  verb: '${verb}',
  name: '${name}',
  version: '0.1.0',
  description: 'Answers with the text that it is given.',
  input: Input,
  output: Output,
  errors: { INVALID_INPUT: { description: 'The input does not fit the schema.', retryable: false, status: 400 } },
  slo: { p95_ms: 250 },
  handler: ({ input }) => ({ text: input.text }),
})
`
}

/** test/workers/<name>.test.ts */
export function testSource({ name, capability }: NewWorker): string {
  return `import { expect, test } from 'vitest'
import { ${factoryName(name)} } from '../../src/workers/${name}.ts'
import { call, createTestWorker } from '../../scripts/lab/worker-calls.ts'

test('answers with the text that it is given', async () => {
  const worker = await createTestWorker(${factoryName(name)}())
  const answer = await call(worker, '${capability}', { text: 'hello' })
  expect([answer.status, answer.json()]).toEqual([200, { text: 'hello' }])
})

test('refuses an empty text', async () => {
  const worker = await createTestWorker(${factoryName(name)}())
  const answer = await call(worker, '${capability}', { text: '' })
  expect([answer.status, answer.json()]).toMatchObject([400, { error: 'INVALID_INPUT' }])
})
`
}

/** Its line in src/workers/registry.ts. */
export function registryLine(name: string): string {
  return `  ${name}: async () => (await import('./${name}.ts')).${factoryName(name)}(),\n`
}

/** `greeting_cards` -> `worker-greeting-cards`, the id of its manifest and its certificate. */
export function workerId(name: string): string {
  return `worker-${name.replaceAll('_', '-')}`
}

function factoryName(name: string): string {
  return `create${name.replaceAll(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())}`
}
