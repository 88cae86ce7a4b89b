// JSON with its numbers as they were written: JavaScript would round 19 digits. Node 24 has what TypeScript's library
// does not know yet (JSON.rawJSON, the source text in a reviver).
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

const keepNumbers: Reviver = (_key, value, context) =>
  typeof value === 'number' && context?.source !== undefined ? rawJSON(context.source) : value

/** As JSON.parse, with values that JSON.stringify writes as they were. For comparing and splitting, not for counting. */
export function parseAsWritten(text: string): unknown {
  return JSON.parse(text, keepNumbers)
}

/** The members of a JSON object by name, each as JSON text. */
export function membersAsText(text: string): [name: string, text: string][] {
  return Object.entries(parseAsWritten(text) as object).map(([name, value]) => [name, JSON.stringify(value)])
}
