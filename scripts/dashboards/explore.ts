// Links from a panel to Grafana's Explore view, and their audit queries.
import { LOKI, type Source } from './queries.ts'

/** `url` may contain `${…}`, which Grafana replaces. */
export type Link = { readonly title: string; readonly url: string }

/** The audit records of the controller; label names as Alloy sets them. */
export const AUDIT = 'service_name="crank-controller", stream="audit"'

const SHOWN_RANGE = { from: '${__from}', to: '${__to}' }

/** Audit records in the time range of the dashboard. */
export function toAudit(title: string, expr: string): Link {
  return { title, url: exploreUrl(LOKI, { expr, queryType: 'range' }, SHOWN_RANGE) }
}

/**
 * A filter for records by their member `capability`. Records contain the real name of a capability that no manifest
 * names, which metrics call `other`; if `other` is selected, all records pass. `value`: a variable with one name or
 * several.
 */
export function ofCapability(value: string): string {
  return `label_format chosen="${value}" | capability=~"${value}" or chosen=~"(.*[|(])?other([|)].*)?"`
}

/** The URL of one query in Explore (schema 1 of its state). */
export function exploreUrl(source: Source, query: object, range: { from: string; to: string }): string {
  const pane = { datasource: source.uid, queries: [{ refId: 'A', datasource: source, ...query }], range }
  return `/explore?schemaVersion=1&orgId=1&panes=${encode(JSON.stringify({ crank: pane }))}`
}

// Grafana replaces `${…}` and encodes the value; everything else is encoded here.
function encode(text: string): string {
  return encodeURIComponent(text).replace(/%24%7B.*?%7D/g, (variable) => decodeURIComponent(variable))
}
