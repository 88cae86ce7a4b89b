// A capability is what a worker provides or requires, always written `verb:name`, such as `convert:document_to_pdf`.
import { quoted } from './printable.ts'

declare const brand: unique symbol
/** A `verb:name` that the parser accepted. */
export type Capability = `${string}:${string}` & { readonly [brand]: 'Capability' }

/** A text that is not a capability; `message` says what is allowed. */
export class CapabilityError extends Error {
  override readonly name = 'CapabilityError'
}

/** One word of a capability: lower case, starts with a letter, at most 64 characters. */
export const CAPABILITY_WORD = '^[a-z][a-z0-9_]{0,63}$'
const WORD = new RegExp(CAPABILITY_WORD)

/** Makes a capability from its two words. @throws {CapabilityError} when either is not a lower-case word. */
export function makeCapability(verb: string, name: string): Capability {
  checkWord('verb', verb)
  checkWord('capability', name)
  return `${verb}:${name}` as Capability
}

/** Parses `verb:name`. @throws {CapabilityError} when it is anything else. */
export function parseCapability(text: string): Capability {
  const [verb = '', name = '', ...rest] = text.split(':')
  if (rest.length > 0 || name === '') throw new CapabilityError(`${quoted(text)} is not of the form verb:name`)
  return makeCapability(verb, name)
}

/** Whether `parseCapability` accepts it. */
export function isCapability(value: unknown): value is Capability {
  const [verb = '', name = '', ...rest] = typeof value === 'string' ? value.split(':') : []
  return rest.length === 0 && WORD.test(verb) && WORD.test(name)
}

/** The two words of a capability. */
export function splitCapability(capability: Capability): { verb: string; name: string } {
  const colon = capability.indexOf(':')
  return { verb: capability.slice(0, colon), name: capability.slice(colon + 1) }
}

function checkWord(what: string, word: string): void {
  if (WORD.test(word)) return
  throw new CapabilityError(`${what} must be a lower-case word (a-z, 0-9, _; at most 64 characters, letter first)`)
}
