// Requests of the demo to the controller's admin listener.
import { request } from 'undici'
import type { WorkersReply } from '../../src/core/wire.ts'

export type AdminClient = {
  readonly url: string
  readiness(): Promise<{ ready: boolean; faults: readonly string[] }>
  liveWorkers(): Promise<number>
  /** The engine in use: `opa-wasm` or `opa-http`. */
  engine(): Promise<string>
  /** `controller_policy_decisions_total` of all capabilities, by decision. */
  decisions(): Promise<{ allow: number; deny: number }>
}

type Readyz = { checks: readonly { name: string; ok: boolean; reason?: string }[] }

/** @param url of the admin listener, without a slash at the end */
export function createAdminClient(url: string): AdminClient {
  const get = async (path: string) => (await request(url + path)).body
  return {
    url,
    async readiness() {
      const { statusCode, body } = await request(`${url}/readyz`)
      const { checks } = (await body.json()) as Readyz
      const faults = checks.filter(({ ok }) => !ok).map(({ name, reason = 'not ready' }) => `${name}: ${reason}`)
      return { ready: statusCode === 200, faults }
    },
    async liveWorkers() {
      const { workers } = (await (await get('/workers')).json()) as WorkersReply
      return workers.filter(({ state }) => state === 'live').length
    },
    engine: async () => ((await (await get('/health')).json()) as { engine: string }).engine,
    async decisions() {
      const metrics = await (await get('/metrics')).text()
      return { allow: sumDecisions(metrics, 'allow'), deny: sumDecisions(metrics, 'deny') }
    },
  }
}

function sumDecisions(metrics: string, decision: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith('controller_policy_decisions_total{') && line.includes(`decision="${decision}"`))
    .map((line) => Number(/\} (\S+)/.exec(line)?.[1] ?? 0))
    .reduce((sum, value) => sum + value, 0)
}
