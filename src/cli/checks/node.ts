// The version of Node, whether its environment weakens TLS, and unused variables.
import { refuseWeakening } from '../../platform/env.ts'
import { oddNames } from '../../platform/setting-names.ts'
import { messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

/** The same as in bin/node-24.js, which is not part of the compiled source. */
const OLDEST = { major: 24, minor: 11 }

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)
  if (fits) return ok('node', version)
  const needed = `${OLDEST.major}.${OLDEST.minor}`
  return fail('node', `${version} is too old`, `needs Node >= ${needed}; in the repository: npm run crank -- check`)
}

export function checkSwitches(env: NodeJS.ProcessEnv, execArgv: readonly string[]): Finding {
  try {
    refuseWeakening(env, execArgv)
    return ok('switches', 'nothing weakens TLS')
  } catch (cause: unknown) {
    return fail(
      'switches',
      messageOf(cause).replaceAll(/\n\s*/g, ' '),
      'controller and workers refuse to start with these',
    )
  }
}

/** CRANK_* and OPA_* variables that nothing reads; empty if there are none. */
export function checkNames(env: NodeJS.ProcessEnv): Finding[] {
  const { faults, unknown } = oddNames(env)
  const misspelt = faults.map((fault) =>
    fail('setting', fault, 'controller, workers and commands refuse to start with it'),
  )
  if (unknown.length === 0) return misspelt
  const hint = 'docs/configuration.md lists all variables; unset those that are not needed'
  return [...misspelt, warn('settings', `nothing reads ${unknown.join(', ')}`, hint)]
}
