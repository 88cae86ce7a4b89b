// Configuration from flags and environment: one schema per process, all faults reported together. The only file, besides
// the entry points, that reads `process.env`.
import { url as inspectorUrl } from 'node:inspector'
import { Ajv, type ErrorObject } from 'ajv'
import type { Static, TObject } from 'typebox'
import { ConfigError, fault } from './setting-fault.ts'
import { kubernetesHint } from './setting-names.ts'

/** Where values come from. Flags are keyed by the variable's name and take precedence over the environment. */
export type ConfigSource = { env: NodeJS.ProcessEnv; flags?: Record<string, string | undefined> }

/** Our own schema keywords: `allowed` completes "must be …", `secret` keeps the value out of every message. */
export type SettingOptions = { description: string; allowed?: string; secret?: boolean }

/** The result of a check: the valid values, and one sentence for each invalid one. */
type ConfigCheck<S extends TObject> = { values: Partial<Static<S>>; faults: string[] }

/** The part of a setting's schema that the checks and the documentation read. */
export type SettingSchema = Partial<SettingOptions> & {
  type?: string
  enum?: readonly unknown[]
  minimum?: number
  maximum?: number
  default?: unknown
}

/** What every program needs: to find programs and the user's folders, and to use the user's language. */
const FOR_EVERY_PROGRAM = /^(PATH|HOME|USER|TMPDIR|TZ|LANG|LC_[A-Z]+|XDG_CACHE_HOME)$/

// Node options that weaken TLS or HTTP parsing, or expose the process or its memory to others, written with dashes (Node
// accepts underscores too). `why` completes the sentence "would …".
const FLAGS: readonly { flag: string; why: string }[] = [
  { flag: '--security-revert', why: 'bring back a fixed vulnerability' },
  { flag: '--tls-keylog', why: 'write the session keys to a file' },
  { flag: '--insecure-http-parser', why: 'accept malformed HTTP, which makes request smuggling possible' },
  { flag: '--tls-min-v1.0', why: 'allow TLS 1.0' },
  { flag: '--tls-min-v1.1', why: 'allow TLS 1.1' },
  ...['', '-brk', '-wait', '-port', '-brk-node', '-publish-uid'].map((end) => debuggerFlag(`--inspect${end}`)),
  debuggerFlag('--debug-port'),
  ...['--heapsnapshot-signal', '--heapsnapshot-near-heap-limit', '--abort-on-uncaught-exception'].map((flag) => ({
    flag,
    why: 'write the memory of this process, keys included, to a file',
  })),
]

/**
 * Reads all variables that `schema` names: flag, else environment, else default. Ignores keys that the schema does not
 * name; an empty string counts as unset. The result is frozen.
 * @throws {ConfigError} with every fault.
 */
export function loadConfig<S extends TObject>(schema: S, source: ConfigSource): Readonly<Static<S>> {
  const { values, faults } = checkConfig(schema, source)
  if (faults.length > 0) throw new ConfigError(faults)
  return Object.freeze(values) as Readonly<Static<S>>
}

/** Like `loadConfig`, but returns the faults, so that a process can add faults that involve several fields before it throws. */
export function checkConfig<S extends TObject>(schema: S, source: ConfigSource): ConfigCheck<S> {
  const given = readGiven(schema, source)
  const values: Record<string, unknown> = { ...given }
  const ajv = new Ajv({ allErrors: true, coerceTypes: true, useDefaults: true, keywords: ['allowed', 'secret'] })
  const valid = ajv.compile(schema)
  valid(values)
  const bad = new Set([...(valid.errors ?? []).map(settingOf), ...oddNumbers(schema, given)])
  const faults = [...bad].map((name) => describeFault(name, given[name], schema.properties[name] as SettingSchema))
  return {
    values: Object.fromEntries(Object.entries(values).filter(([name]) => !bad.has(name))) as Partial<Static<S>>,
    faults,
  }
}

/** What a setting accepts, completing "must be": `an integer from 0 to 65535`. */
export function allowedBy(schema: SettingSchema): string {
  if (schema.allowed !== undefined) return schema.allowed
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'integer') return `an integer${range(schema)}`
  return 'a text'
}

/**
 * Refuses to start when the environment or the command line weakens what the controller relies on.
 * @param execArgv Node's own arguments (`process.execArgv`); those in NODE_OPTIONS are checked too.
 * @throws {ConfigError} with every such option.
 */
export function refuseWeakening(env: NodeJS.ProcessEnv, execArgv: readonly string[]): void {
  const faults = [
    ...variableFaults(env),
    ...flagFaults(execArgv, ''),
    ...flagFaults(nodeOptions(env), ' in NODE_OPTIONS'),
  ]
  // However it was opened, for example by a signal.
  if (faults.length === 0 && inspectorUrl() !== undefined) {
    faults.push("Node's debugger is open: would let anyone who reaches it run code in this process; start without it")
  }
  if (faults.length > 0) throw new ConfigError(faults)
}

/**
 * Runs `build` while the OTEL_* variables of `process.env` are exactly those of `otel`, then restores the old ones. The
 * OpenTelemetry packages read their settings only from `process.env`.
 */
export function withOtelVariables<T>(otel: NodeJS.ProcessEnv, build: () => T): T {
  const saved = otelVariables(process.env)
  replaceOtelVariables(otel)
  try {
    return build()
  } finally {
    replaceOtelVariables(saved)
  }
}

/**
 * The environment of a program that we start: the part of `env` (default: our own) that it needs to run, and what `also`
 * names. Tokens and passwords in `env` are not passed on.
 */
export function childEnvironment(
  env: NodeJS.ProcessEnv = process.env,
  also: (name: string) => boolean = () => false,
): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => FOR_EVERY_PROGRAM.test(name) || also(name)))
}

/** SPIFFE_ENDPOINT_SOCKET of our own environment, for a library: a program takes it from its configuration. */
export function spiffeEndpointSocket(): string | undefined {
  const { SPIFFE_ENDPOINT_SOCKET: socket = '' } = process.env
  return socket === '' ? undefined : socket
}

function readGiven(schema: TObject, { env, flags = {} }: ConfigSource): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name of Object.keys(schema.properties)) {
    const value = [flags[name], env[name]].find((text) => text !== undefined && text !== '')
    if (value !== undefined) given[name] = value
  }
  return given
}

// Ajv would read a blank as 0, and accept 0x10 and 1e3.
function oddNumbers(schema: TObject, given: Record<string, string>): string[] {
  const isInteger = (name: string): boolean => (schema.properties[name] as SettingSchema).type === 'integer'
  return Object.keys(given).filter((name) => isInteger(name) && !/^-?\d+$/.test(given[name] ?? ''))
}

function settingOf({ keyword, instancePath, params }: ErrorObject): string {
  return keyword === 'required' ? String(params['missingProperty']) : (instancePath.split('/')[1] ?? '')
}

function describeFault(name: string, value: string | undefined, schema: SettingSchema = {}): string {
  if (value === undefined) return `${name} is not set: must be ${allowedBy(schema)}`
  if (schema.secret === true) return `${name}: must be ${allowedBy(schema)}`
  return fault(name, value, `must be ${allowedBy(schema)}${kubernetesHint(name, value)}`)
}

function range({ minimum, maximum }: SettingSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`
  if (minimum !== undefined) return ` of at least ${minimum}`
  return maximum === undefined ? '' : ` of at most ${maximum}`
}

function otelVariables(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith('OTEL_')))
}

function replaceOtelVariables(next: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(otelVariables(process.env))) Reflect.deleteProperty(process.env, name)
  Object.assign(process.env, otelVariables(next))
}

function variableFaults(env: NodeJS.ProcessEnv): string[] {
  const faults: string[] = []
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    faults.push('NODE_TLS_REJECT_UNAUTHORIZED=0: would accept any certificate; unset it')
  }
  if ((env['SSLKEYLOGFILE'] ?? '') !== '')
    faults.push('SSLKEYLOGFILE: would write the session keys to a file; unset it')
  return faults
}

function debuggerFlag(flag: string): { flag: string; why: string } {
  return { flag, why: 'let anyone who reaches the debugger run code in this process' }
}

function flagFaults(args: readonly string[], where: string): string[] {
  const given = new Set(args.map((arg) => (arg.split('=')[0] ?? '').replaceAll('_', '-')))
  return FLAGS.filter(({ flag }) => given.has(flag)).map(({ flag, why }) => `${flag}${where}: would ${why}; remove it`)
}

function nodeOptions(env: NodeJS.ProcessEnv): string[] {
  return (env['NODE_OPTIONS'] ?? '').split(/\s+/).map((option) => option.replaceAll(/["']/g, ''))
}
