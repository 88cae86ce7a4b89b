// Calls compiled workers, in a process without their source. Arguments: folder of the program, folder for what the workers
// keep, calls as JSON. Prints the answers as one JSON object, by worker.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Registry from '../../src/workers/registry.ts'
import { call, createTestWorker } from '../../scripts/lab/worker-calls.ts'
import type { CALLS } from './compiled-calls.ts'

/** `text`: the body of its answer. */
export type Answers = Record<string, { readonly status: number; readonly text: string }>

const [app = '', stateDir = '', calls = ''] = process.argv.slice(2)
const registry = pathToFileURL(join(app, 'dist/workers/registry.js')).href
const { workerNamed } = (await import(registry)) as typeof Registry

const answers: Answers = {}
for (const [name, { capability, input }] of Object.entries(JSON.parse(calls) as typeof CALLS)) {
  const make = workerNamed(name)
  if (make === undefined) throw new Error(`there is no worker ${name}`)
  const definition = await make({ stateDir })
  const { status, text } = await call(await createTestWorker(definition), capability, input)
  answers[name] = { status, text }
  await definition.close?.()
}
process.stdout.write(JSON.stringify(answers))
