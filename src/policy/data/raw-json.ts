// JSON with its numbers unchanged: JavaScript would round 19 digits. Uses features of Node 24 that TypeScript's library does
// not declare yet (JSON.rawJSON, the source text in a reviver).
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

const keepNumbers: Reviver = (_key, value, context) =>
  typeof value === 'number' && context?.source !== undefined ? rawJSON(context.source) : value

/** Like JSON.parse, but JSON.stringify writes the numbers unchanged. For comparing and splitting, not for arithmetic. */
export function parseAsWritten(text: string): unknown {
  return JSON.parse(text, keepNumbers)
}

/** The members of a JSON object by name, each as JSON text. */
export function membersAsText(text: string): [name: string, text: string][] {
  return Object.entries(parseAsWritten(text) as object).map(([name, value]) => [name, JSON.stringify(value)])
}
