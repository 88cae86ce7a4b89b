// The running controller, queried on its admin listener.
import { requestHttp } from '../http-request.ts'
import type { WorkerEntry, WorkersReply } from '../../core/wire.ts'
import { allPages } from '../all-pages.ts'
import { messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

type Health = {
  readonly version: string
  readonly engine: string
  readonly policy_revision: string
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly reason?: string }[]
}

const TIMEOUT_MS = 2000
/** What to do about a check that is passed with a reason, by its name. */
const NOTED_HINTS: Readonly<Record<string, string>> = {
  policy: 'it decides by the last good policy; fix this before you restart it',
  audit: 'crank audit verify says which records are missing',
  certificate: 'the old certificate stays in use until it expires; have a new one issued',
  mesh: 'look at the NATS servers of CRANK_NATS_URL; do not restart the controller meanwhile',
}
const LOG_HINT = 'see the log of the controller'

/** Data of the controller; all but `findings` are undefined when it does not answer. */
type ControllerCheck = {
  readonly findings: readonly Finding[]
  /** The registered workers. */
  readonly workers: readonly WorkerEntry[] | undefined
  /** Its clock, and this machine's clock at that moment: later checks may take longer than the clocks may differ. */
  readonly date: string | undefined
  readonly dateAtMs: number | undefined
}

export async function checkController(
  adminUrl: string,
  revisionOnDisk: string | undefined,
  now: () => number,
): Promise<ControllerCheck> {
  try {
    const { json, date, dateAtMs } = await getJson(`${adminUrl}/health`, now)
    const page = async (query: string) => (await getJson(`${adminUrl}/workers${query}`, now)).json as WorkersReply
    const workers = await allPages(page, (reply) => reply.workers)
    return { findings: judge(adminUrl, json as Health, revisionOnDisk), workers, date, dateAtMs }
  } catch (cause: unknown) {
    const hint = 'start it (crank controller, npm run demo), or give the URL of its admin listener: --admin-url'
    return {
      findings: [fail('controller', `no answer from ${adminUrl}: ${messageOf(cause)}`, hint)],
      workers: undefined,
      date: undefined,
      dateAtMs: undefined,
    }
  }
}

function judge(adminUrl: string, health: Health, revisionOnDisk: string | undefined): Finding[] {
  const red = health.checks.filter((check) => !check.ok)
  const noted = health.checks.filter(({ ok: passed, reason }) => passed && reason !== undefined)
  const { version, engine, policy_revision: revision } = health
  const findings = red.map(({ name, reason = 'not ready' }) => fail(`controller ${name}`, reason, LOG_HINT))
  if (red.length === 0)
    findings.push(ok('controller', `${adminUrl} is ready: ${version}, ${engine}, revision ${revision}`))
  for (const { name, reason = '' } of noted)
    findings.push(warn(`controller ${name}`, reason, NOTED_HINTS[name] ?? LOG_HINT))
  // A policy check with a reason says it better: OPA is behind, or the folder has a fault. A restart would not help.
  const isExplained = [...red, ...noted].some(({ name }) => name === 'policy')
  if (revisionOnDisk !== undefined && revision !== revisionOnDisk && !isExplained) {
    const message = `the controller decides by revision ${revision}, the policy folder holds ${revisionOnDisk}`
    findings.push(warn('policy revision', message, 'restart the controller, if it reads this folder'))
  }
  return findings
}

type Answer = { readonly json: unknown; readonly date: string | undefined; readonly dateAtMs: number }

async function getJson(url: string, now: () => number): Promise<Answer> {
  const { statusCode, headers, text } = await requestHttp(url, { timeoutMs: TIMEOUT_MS })
  const dateAtMs = now()
  if (statusCode !== 200) throw new Error(`status ${statusCode}`)
  return { json: JSON.parse(text) as unknown, date: headers.date, dateAtMs }
}
