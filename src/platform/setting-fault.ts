// Faults of settings, in the form in which a person sees them. Imports nothing, since commands that must answer at once use it.

const MAX_VALUE_CHARS = 80

/** The configuration is invalid; `faults` are sentences for the person who set it. The process exits with 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`configuration is not usable:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
    this.faults = faults
  }
}

/** A fault in the common form: `NAME="value": must be …`. */
export function fault(name: string, value: string, sentence: string): string {
  return `${name}=${quote(value)}: ${sentence}`
}

function quote(value: string): string {
  return JSON.stringify(value.length > MAX_VALUE_CHARS ? `${value.slice(0, MAX_VALUE_CHARS)}…` : value)
}
