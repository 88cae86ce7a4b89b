// A real worker that notes its executions in a file, for the history checker: `crank worker worker-definition.ts`.
import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Type from 'typebox'
import { sizesOf } from './evidence.ts'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'

const LOG = process.env['FAULTS_WORKER_LOG'] ?? ''
const AUDIT = process.env['FAULTS_AUDIT_LOG'] ?? ''
const NAME = process.env['FAULTS_WORKER_NAME'] ?? ''

const Input = Type.Object({ id: Type.String(), work_ms: Type.Optional(Type.Number()) })

const noted = defineCapability({
  verb: 'invoke',
  name: 'hello_world',
  version: '1.0.0',
  input: Input,
  output: Type.Object({ greeting: Type.String() }),
  async handler({ input, caller, decisionId, idempotencyKey = null, signal }) {
    const auditSizes = sizesOf([AUDIT])
    const about = { id: input.id, workerId: NAME, caller, capability: 'invoke:hello_world', key: idempotencyKey }
    const execution = { run: randomUUID(), ...about, decisionId, atMs: Date.now(), auditSizes }
    const note = (answered: string): void => appendFileSync(LOG, `${JSON.stringify({ ...execution, answered })}\n`)
    note('none')
    if (input.work_ms !== undefined) await delay(input.work_ms, undefined, { signal })
    note('whole')
    return { greeting: 'hi' }
  },
})

export const worker = defineWorker({ id: 'worker-hello-world', capabilities: [noted] })
