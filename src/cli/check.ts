// `crank check`: runs the checks in order of dependency and prints their findings.
import Type from 'typebox'
import { loadConfig } from '../platform/env.ts'
import { opaTimeoutSetting, optionalText } from '../platform/settings.ts'
import { auditLogsIn } from './audit-config.ts'
import { checkAudit } from './checks/audit.ts'
import { checkCertificates } from './checks/certificates.ts'
import { checkClock } from './checks/clock.ts'
import { checkController } from './checks/controller.ts'
import type { Finding, Status } from './checks/finding.ts'
import { checkNames, checkNode, checkSwitches } from './checks/node.ts'
import { checkPolicy } from './checks/policy.ts'
import { checkWorkers } from './checks/workers.ts'
import { readStateConfig } from './client-config.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { adminUrlOf, policyDirOf } from './places.ts'
import { paint, writeJson, writeLine, type Colour, type Format } from './output.ts'
import { environment } from './environment.ts'

type CheckOptions = { adminUrl?: string | undefined; stateDir?: string | undefined; output: Format }

const CheckEnv = Type.Object({
  OPA_URL: optionalText({ description: 'OPA sidecar' }),
  OPA_TIMEOUT_MS: opaTimeoutSetting,
})
/** A call waits no longer than OPA_TIMEOUT_MS. This check looks for a dead OPA, and a slow one is not dead. */
const PATIENCE_MS = 5000
const GLYPHS: Readonly<Record<Status, readonly [string, Colour]>> = {
  ok: ['√', 'green'],
  warn: ['‼', 'yellow'],
  fail: ['×', 'red'],
}

/** Prints all findings; `negative` if one of them is a failure. */
export async function check(options: CheckOptions): Promise<ExitCode> {
  const checks = await gatherFindings(options, environment(), Date.now)
  const passed = checks.every(({ status }) => status !== 'fail')
  if (options.output === 'json') writeJson({ ok: passed, checks })
  else for (const finding of checks) print(finding)
  return passed ? EXIT.ok : EXIT.negative
}

/** The findings of all checks, in the order of output. */
export async function gatherFindings(
  options: Omit<CheckOptions, 'output'>,
  env: NodeJS.ProcessEnv,
  now: () => number,
): Promise<Finding[]> {
  const adminUrl = adminUrlOf(options, env)
  const settings = loadConfig(CheckEnv, { env })
  const state = readStateConfig(options, env)
  const certificates = await checkCertificates(state, env, now)
  const policy = await checkPolicy(
    {
      policyDir: policyDirOf({}, env),
      opaUrl: settings.OPA_URL,
      timeoutMs: Math.max(settings.OPA_TIMEOUT_MS, PATIENCE_MS),
    },
    now,
  )
  const audit = await checkAudit(() => auditLogsIn(options, env), env, now)
  const controller = await checkController(adminUrl, policy.revision, now)
  const workers = await checkWorkers(controller.workers, certificates.controller, now)
  return [
    checkNode(process.versions.node),
    checkSwitches(env, process.execArgv),
    ...checkNames(env),
    ...certificates.findings,
    checkClock(controller.dateAtMs ?? now(), controller.date),
    ...policy.findings,
    ...audit,
    ...controller.findings,
    ...workers,
  ]
}

function print({ name, status, message, hint }: Finding): void {
  const [glyph, colour] = GLYPHS[status]
  writeLine(`${paint(colour, glyph)} ${name.padEnd(NAME_WIDTH)} ${message}`)
  if (hint !== undefined) writeLine(`  ${' '.repeat(NAME_WIDTH)} ${paint('dim', `-> ${hint}`)}`)
}

const NAME_WIDTH = 18
