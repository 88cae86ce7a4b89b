// Bad links between controller and worker, a registry that must come back, policies out of step (F17, F30 to F32).
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuTimes } from '../../../scripts/bench/cpu.ts'
import { startOpa } from '../../../scripts/lab/opa-server.ts'
import { startBundleServer } from '../../fixtures/bundle-server.ts'
import { blockedJson } from '../../fixtures/live-policy.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { groupsFor, startSwarm, swarmManifests } from '../../fixtures/swarm.ts'
import { until } from '../../fixtures/until.ts'
import type { LinkFault } from '../../../scripts/lab/fault-proxy.ts'
import { finding, percentile, tally, type Scenario } from '../scenario.ts'

const INTERVAL_MS = 10_000

const restarted: Scenario = {
  id: 'F17',
  fault: 'controller SIGKILLed with many workers',
  expected: '99 % routable within a heartbeat interval, 0 misrouted, below 80 % of a core',
  async run(lab) {
    const { workers } = lab.amounts
    await using policy = await copyPolicies({ 'data/worker_manifests.json': await swarmManifests(workers) })
    const options = { policyDir: policy.dir, env: { CRANK_HEARTBEAT_INTERVAL_MS: String(INTERVAL_MS) } }
    const { origin } = await lab.start(options)
    const swarm = await startSwarm(lab.parties, origin, workers)
    lab.defer(() => swarm.close())
    await until(
      'all are live',
      async () => (await lab.metric('controller_registry_workers', '"live"')) === workers,
      60_000,
    )
    await delay(1000)
    await lab.kill()
    const port = new URL(origin).port
    const { pid } = await lab.start({ ...options, env: { ...options.env, CRANK_PORT: port } })
    const startMs = performance.now()
    const cpu = cpuOf(pid)
    let live = 0
    let allMs = Infinity
    while (performance.now() - startMs < INTERVAL_MS) {
      live = await lab.metric('controller_registry_workers', '"live"')
      if (live === workers) allMs = Math.min(allMs, Math.round(performance.now() - startMs))
      if (live === workers) break
      await delay(100)
    }
    const statuses: (number | null)[] = []
    for (let group = 0; group < groupsFor(workers); group++) {
      statuses.push((await lab.call({ capability: ['invoke', `swarm_${group}`] })).status)
    }
    const share = Math.round(((cpuOf(pid) - cpu) / 1e6 / ((performance.now() - startMs) / 1000)) * 100)
    await swarm.close()
    return finding(
      `${live} of ${workers} routable; a call to each group ${tally(statuses)}`,
      `all after ${allMs === Infinity ? 'more than the interval' : `${allMs} ms`}; ${swarm.misrouted()} misrouted; ${share} % of a core`,
      {
        '99 % are routable within the interval': live >= workers * 0.99,
        'no call is misrouted': swarm.misrouted() === 0,
        'a call to each group is served': statuses.every((status) => status === 200),
      },
    )
  },
}

function cpuOf(pid: number): number {
  return [...cpuTimes({ controller: pid }).values()][0] ?? 0
}

const links: Scenario = {
  id: 'F30',
  fault: 'link to a worker: 5 % loss, 200 ms delay, drip, half-open, cut off and back',
  expected: 'deadlines hold; each key is executed once, or its outcome is unknown; served again afterwards',
  short: true,
  async run(lab) {
    await lab.start()
    const { proxy } = await lab.worker({ proxied: true })
    if (proxy === undefined) throw new Error('the worker has no proxy')
    const faults: Record<string, LinkFault> = {
      '5 % loss': { loss: 0.05, jitterMs: 5 },
      '200 ms delay': { latencyMs: 100, jitterMs: 10 },
      drip: { drip: { bytes: 20, everyMs: 5 } },
      silence: { silence: true },
      'cut off': { refuse: true },
    }
    const timeoutMs = 1500
    const said: string[] = []
    const late: number[] = []
    let keys = 0
    for (const [name, fault] of Object.entries(faults)) {
      await proxy.set(fault)
      if (fault.refuse === true) proxy.resetAll()
      // Every key is sent twice, as a caller does that got no answer.
      const call = () => lab.call({ key: `link-${keys++ >> 1}`, timeoutMs })
      const work = async (): Promise<void> => {
        await delay(lab.amounts.seconds * 150)
        // What is under way breaks off in the middle.
        if (fault.silence !== true) proxy.resetAll()
      }
      const seen = await lab.underLoad(6, work, call)
      said.push(`${name} ${tally(seen.map(({ status }) => status))}`)
      late.push(...seen.map(({ startMs, endMs }) => endMs - startMs))
      await proxy.set({})
      await until('calls are served', async () => (await lab.call()).status === 200, 30_000)
    }
    const runs = new Map<string | null, number>()
    for (const { key } of lab.executions) if (key !== null) runs.set(key, (runs.get(key) ?? 0) + 1)
    const doubles = [...runs.values()].filter((count) => count > 1).length
    const slowestMs = Math.round(percentile(late, 1))
    return finding(
      said.join('; '),
      `${doubles} keys executed twice of ${runs.size}; slowest call ${slowestMs} ms`,
      {
        'no key is executed twice': doubles === 0,
      },
      { 'no call outlives its deadline by a second': slowestMs <= timeoutMs + 1000 },
    )
  },
}

const STREAMING_ID = 'spiffe://crank.local/worker/streaming'

const bundles: Scenario = {
  id: 'F31',
  fault: 'OPA is cut off from its bundle server',
  expected:
    'the last good policy decides, for 10 s where that is its bound; when the server is back the new one does, recorded before its first decision',
  async run(lab) {
    const server = await startBundleServer()
    lab.defer(() => server.close())
    await using blocked = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING_ID) })
    await server.offer(POLICY_DIR, { revision: 'release-1' })
    const opa = await startOpa({ more: server.opaArguments })
    lab.defer(() => opa.kill())
    await lab.policies.know(POLICY_DIR, 'release-1')
    await lab.policies.know(blocked.dir, 'release-2')
    const bound = { CRANK_POLICY_MAX_STALENESS: '10s', CRANK_POLICY_STALENESS_ACTION: 'deny' }
    await lab.start({ env: { OPA_URL: opa.url, OPA_TIMEOUT_MS: '2000', ...bound } })
    await lab.worker()
    await until('calls are served', async () => (await lab.call()).status === 200)
    server.fail()
    const cutMs = performance.now()
    const cut = await lab.underLoad(2, () => delay(5000))
    await until('the policy is too old', async () => (await lab.call()).status === 503, 30_000)
    const staleMs = Math.round(performance.now() - cutMs)
    await server.offer(blocked.dir, { revision: 'release-2' })
    const startMs = performance.now()
    await until('the new policy decides', async () => (await lab.call()).status === 403, 30_000)
    const newMs = Math.round(performance.now() - startMs)
    const figure = `denied after ${staleMs} ms; new policy in force ${newMs} ms after the server is back`
    return finding(
      `cut off: ${tally(cut.map(({ status }) => status))}`,
      figure,
      {
        'the last good policy decides meanwhile': cut.every(({ status }) => status === 200),
      },
      { 'it decides no longer than its bound and a few seconds': staleMs <= 15_000 },
    )
  },
}

const twoPolicies: Scenario = {
  id: 'F32',
  fault: 'two controllers, one with an old policy',
  expected: 'every decision names its revision; one query over the audit logs shows who decides by the old one',
  async run(lab) {
    await using next = await copyPolicies({ 'data/worker_manifests.json': await withoutHello() })
    const old = await lab.start({ state: 'old' })
    await lab.worker({ instance: 'old' })
    const before = await lab.call({ origin: old.origin })
    const current = await lab.start({ state: 'current', policyDir: next.dir })
    const after = await lab.call({ origin: current.origin })
    const revisions = await Promise.all(
      ['old', 'current'].map(async (state) => {
        const { records } = await lab.recordsOf(state)
        return new Set(
          records.filter(({ event }) => event === 'policy_decision').map((one) => String(one['policy_revision'])),
        )
      }),
    )
    const [ofOld, ofCurrent] = revisions.map((set) => [...set].join(' '))
    return finding(
      `old policy ${before.status ?? 'broken'}, new policy ${after.status ?? 'broken'}`,
      `revisions ${ofOld ?? ''} and ${ofCurrent ?? ''}`,
      {
        'the old policy allows': before.status === 200,
        'the new one denies': after.status === 403,
        'each names one revision': revisions.every((set) => set.size === 1),
        'they differ': ofOld !== ofCurrent,
      },
    )
  },
}

/** The manifests of the repository, but the caller may not call hello_world. */
async function withoutHello(): Promise<string> {
  const text = await readFile(join(POLICY_DIR, 'data/worker_manifests.json'), 'utf8')
  const file = JSON.parse(text) as { workers: Record<string, { required_capabilities: string[] }> }
  const caller = file.workers[STREAMING_ID]!
  caller.required_capabilities = caller.required_capabilities.filter((name) => name !== 'invoke:hello_world')
  return JSON.stringify(file)
}

export const NETWORK_SCENARIOS: readonly Scenario[] = [restarted, links, bundles, twoPolicies]
