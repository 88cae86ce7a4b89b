// On the path of every call. Serialises the input as JSON, the same for every engine.
import type { PolicyInput } from '../../core/decision.ts'

// JSON.stringify writes a lone surrogate as an escape and every other character above U+001F unchanged.
const ESCAPE = /\\(\\|ud[89a-f][\da-f]{2})/g

/**
 * The JSON of an input. A lone surrogate (a caller can send one in a JSON body) becomes U+FFFD: OPA's server reads it that
 * way, and its wasm aborts on it.
 */
export function inputText(input: PolicyInput): string {
  const text = JSON.stringify(input)
  if (!text.includes('\\ud')) return text
  return text.replace(ESCAPE, (escape, what: string) => (what === '\\' ? escape : '\ufffd'))
}
