// The options of `npm run demo -- …`.
import { parseArgs } from 'node:util'
import { DemoError } from './errors.ts'

export type Options = {
  /** Ends after the three calls. */
  readonly once: boolean
  readonly json: boolean
  /** Uses a real OPA sidecar instead of the embedded engine. */
  readonly opa: boolean
  /** Starts Jaeger too, and prints a link to the trace of each call. */
  readonly trace: boolean
  /** Starts every bundled worker, not only the two that the calls need. */
  readonly all: boolean
  /** mTLS port; the admin listener uses the next one. 0: any free ports, and a separate state folder. */
  readonly port: number
}

const DEFAULT_PORT = 9000

export const USAGE = `usage: npm run demo -- [--once] [--json] [--opa] [--trace] [--all] [--port <n>]

  --once      end after the three calls; exit 1 if one of them went wrong
  --json      print the results as one JSON object on stdout
  --opa       decide with a real OPA sidecar instead of the embedded engine
  --trace     start Jaeger too (port 16686) and print a link to the trace of each call. Where Jaeger is not found it
              is built once, which takes Go and about five minutes
  --all       start all bundled workers, not only the two that are called (docs/workers/ has a call for each)
  --port <n>  mTLS port (default ${DEFAULT_PORT}), admin on the next one; 0: any free ports and a state folder
              of its own, to run beside another copy

CRANK_STATE_DIR is where certificates, audit log and logs go (default .crank of this folder).
`

/** @throws {DemoError} with exit code 2 */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const { values } = parse(args)
  if (values.help) return 'help'
  const { once, json, opa, trace, all, port } = values
  return { once, json, opa, trace, all, port: parsePort(port) }
}

function parse(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        once: flag,
        json: flag,
        opa: flag,
        trace: flag,
        all: flag,
        help: { ...flag, short: 'h' },
        port: { type: 'string', default: String(DEFAULT_PORT) },
      },
    })
  } catch (cause: unknown) {
    throw new DemoError(`${cause instanceof Error ? cause.message : String(cause)}\n${USAGE}`, { exitCode: 2 })
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= 65534) return port
  throw new DemoError(`--port "${text}": must be an integer from 0 to 65534`, { exitCode: 2 })
}
