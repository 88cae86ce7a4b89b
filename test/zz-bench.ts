import { request, Pool } from 'undici'
import { startOpa } from '/work/main/test/fixtures/opa-server.ts'
import { loadPolicyFiles } from '/work/main/src/controller/policy/policy-files.ts'
import { createOpaWasm } from '/work/main/src/controller/policy/opa-wasm.ts'
import { createOpaHttp } from '/work/main/src/controller/policy/opa-http.ts'
import { parseAnswer } from '/work/main/src/controller/policy/answer.ts'
import { policyInput, STREAMING } from '/work/main/test/fixtures/policy-input.ts'
import { readFileSync } from 'node:fs'
const POLICY_DIR = '/work/main/policies'
const inputs = Array.from({ length: 200 }, () => policyInput(STREAMING, 'stream:text_events'))
const files = await loadPolicyFiles(POLICY_DIR, Date.now())
const opa = await startOpa({ policyDir: POLICY_DIR })
const opaU = await startOpa({ policyDir: POLICY_DIR, unix: '/tmp/opa-bench.sock' })
async function run(name: string, n: number, conc: number, f: (i: any) => Promise<any>) {
  for (let round = 0; round < 3; round++) {
    const lat: number[] = []
    const c0 = process.cpuUsage(), t0 = performance.now()
    let k = 0
    await Promise.all(Array.from({ length: conc }, async () => { while (k < n) { const i = inputs[k++ % 200]; const s = performance.now(); await f(i); lat.push(performance.now() - s) } }))
    const c = process.cpuUsage(c0), dt = performance.now() - t0
    lat.sort((a, b) => a - b)
    console.log(name.padEnd(28), `conc ${conc}`, `cpu ${((c.user + c.system) / n).toFixed(1)} us`, `${(n / dt * 1000).toFixed(0)}/s`, `p50 ${(lat[n >> 1] * 1000).toFixed(0)} p95 ${(lat[Math.floor(n * .95)] * 1000).toFixed(0)} p99 ${(lat[Math.floor(n * .99)]*1000).toFixed(0)} us`)
  }
}
const wasm = await createOpaWasm({ files, timeoutMs: 100 })
await run('wasm', 50000, 1, (i) => wasm.decide('capability_access', i))
const tcp = createOpaHttp({ target: opa.target, timeoutMs: 1000 })
const unix = createOpaHttp({ target: opaU.target, timeoutMs: 1000 })
const pool = new Pool(opa.url, { connections: 64, pipelining: 1, allowH2: false, headersTimeout: 0, bodyTimeout: 0 })
const viaRequest = async (i: any) => { const ac = new AbortController(); const t = setTimeout(() => ac.abort(), 1000); const r = await pool.request({ method: 'POST', path: '/v1/data/crank/capability_access/decision', headers: ['content-type', 'application/json'], body: `{"input":${JSON.stringify(i)}}`, signal: ac.signal }); const b: any = await r.body.json(); clearTimeout(t); return parseAnswer(b.result, i.context.decision_id) }
for (const conc of [1, 8, 32]) {
  await run('http tcp dispatch', 20000, conc, (i) => tcp.decide('capability_access', i))
  await run('http tcp request()', 20000, conc, viaRequest)
  await run('http unix dispatch', 20000, conc, (i) => unix.decide('capability_access', i))
}
const ticks = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')
await tcp.close(); await unix.close(); await pool.destroy(); await opa.stop(); await opaU.stop()
