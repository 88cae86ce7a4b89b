// Checks the output of `npm run demo -- --once --json`: `node scripts/check-demo-output.ts embedded|opa FILE`. Exit 1
// prints the reason.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

type Call = { status: number; body: Record<string, unknown>; decision_id: string; trace_id: string }
type Demo = {
  allowed: Call
  denied: Call
  streamed: { status: number; events: number; first_event_ms: number; decision_id: string; trace_id: string }
  audit: { file: string; records: number; verified: boolean }
  metrics: { allow: number; deny: number }
  engine: string
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/

const [engine = '', file = ''] = process.argv.slice(2)
const text = readFileSync(file, 'utf8')
const demo = JSON.parse(text) as Demo
const { allowed, denied, streamed, audit, metrics } = demo

assert.equal(demo.engine, engine === 'opa' ? 'opa-http' : 'opa-wasm', 'the engine that was asked for')
assert.equal(allowed.status, 200)
assert.equal(typeof allowed.body['greeting'], 'string')
assert.equal(denied.status, 403)
assert.equal(denied.body['error'], 'capability_access_denied')
assert.match(String(denied.body['reason']), /not authorized/)
assert.equal(streamed.status, 200)
assert.ok(streamed.events >= 2, 'more than one event')
assert.ok(streamed.first_event_ms >= 0)
for (const call of [allowed, denied, streamed]) {
  assert.match(call.decision_id, UUID_V7)
  assert.match(call.trace_id, TRACE_ID)
}
assert.equal(audit.verified, true)
assert.ok(audit.records >= 5, 'three decisions and two outcomes')
assert.ok(metrics.allow >= 2 && metrics.deny >= 1, 'every call is counted')
process.stdout.write(`demo with the ${engine} engine: ok (${audit.records} audit records)\n`)
