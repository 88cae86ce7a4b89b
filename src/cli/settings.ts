// Options for environment variables: one table per process gives the options, and the flags for loadConfig.
import type { Command, OptionValues } from '@commander-js/extra-typings'

/** Variable, the option that overrides it, and its help. The schema checks values, not this file. */
export type Setting = readonly [variable: string, option: string, help: string]

/** Adds an option for every setting; the help names the variable. */
export function addSettings(command: Command, settings: readonly Setting[]): Command<[], OptionValues> {
  let result: Command<[], OptionValues> = command
  for (const [variable, option, help] of settings) result = result.option(option, `${help} [${variable}]`)
  return result
}

/** The given options by variable, for loadConfig. */
export function flagsOf(options: OptionValues, settings: readonly Setting[]): Record<string, string | undefined> {
  return Object.fromEntries(settings.map(([variable, option]) => [variable, textOf(options[attributeOf(option)])]))
}

/** `--admin-port <n>` -> `adminPort`, as Commander names it. */
function attributeOf(option: string): string {
  const name = option.slice(2).split(' ')[0] ?? ''
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** The value of an option that was given as text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
