import { openAuditLog } from '/work/main/src/controller/audit/writer.ts'
import { policyDecision } from '/work/main/src/controller/audit/event.ts'
import { verifyAudit } from '/work/main/src/controller/audit/verify.ts'
import { rmSync, statSync } from 'node:fs'
import { pino } from 'pino'
const log = pino({ level: 'warn' })
const ev = (i: number) => policyDecision({ input: { identity: { spiffe_id: 'spiffe://crank.local/worker/streaming' as never, trust_domain: 'crank.local' as never }, action: { verb: 'stream', capability: 'text_events' }, context: { timestamp: '2026-11-23T10:00:00.000Z', now_ns: '1795514400000000000', source: 'controller', decision_id: '0193f0a0-0000-7000-8000-00000000' + (1000 + i % 1000), priority: 'normal' } }, trace: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true }, engine: 'opa-wasm', policyRevision: 'abcdef0123456789', evaluationTimeMs: 0.0051, route: '/route', idempotencyKeyPresent: false }, { decision: 'allow', mode: 'enforce', exception: null, policyVersion: '1.0.0', grounds: ['declared'], reasons: [] })
for (const sync of ['write', 'fsync'] as const) for (const n of [1, 32, 256]) {
  const dir = '/tmp/bench-audit'
  rmSync(dir, { recursive: true, force: true })
  const audit = await openAuditLog({ file: dir + '/audit.jsonl', sync, now: Date.now, log })
  const total = n === 1 ? 5000 : 200_000
  let done = 0
  const lat: number[] = []
  const c0 = process.cpuUsage(), t0 = performance.now()
  await Promise.all(Array.from({ length: n }, async () => { while (done < total) { done++; const t = performance.now(); await audit.append(ev(done)); lat.push(performance.now() - t) } }))
  const s = (performance.now() - t0) / 1000, c = process.cpuUsage(c0)
  lat.sort((a, b) => a - b)
  await audit.close()
  const v0 = performance.now(); const v = await verifyAudit(dir + '/audit.jsonl'); 
  console.log(sync, n, Math.round(done / s), 'rec/s', 'cpu us/rec', ((c.user + c.system) / done).toFixed(2), 'p50', lat[lat.length >> 1]!.toFixed(2), 'p99', lat[Math.floor(lat.length * .99)]!.toFixed(2), 'max', lat.at(-1)!.toFixed(1), 'verify', v.ok, v.records, Math.round(v.records / (performance.now() - v0) * 1000) + '/s', statSync(dir + '/audit.jsonl').size / v.records)
}
