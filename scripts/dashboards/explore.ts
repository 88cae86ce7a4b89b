// Links from a panel into Grafana's Explore view, and the audit queries they open.
import { LOKI, type Source } from './queries.ts'

/** `url` may hold `${…}`, which Grafana fills in. */
export type Link = { readonly title: string; readonly url: string }

/** The audit records of the controller; label names as Alloy sets them. */
export const AUDIT = 'service_name="crank-controller", stream="audit"'

const SHOWN_RANGE = { from: '${__from}', to: '${__to}' }

/** Audit records over the time range that the dashboard shows. */
export function toAudit(title: string, expr: string): Link {
  return { title, url: exploreUrl(LOKI, { expr, queryType: 'range' }, SHOWN_RANGE) }
}

/**
 * A filter by capability, for records whose member `capability` has this name. Records have the real name of a capability that
 * no manifest names and metrics call `other`, so where that is chosen, all pass. `value`: a variable, with one name or several.
 */
export function ofCapability(value: string): string {
  return `label_format chosen="${value}" | capability=~"${value}" or chosen=~"(.*[|(])?other([|)].*)?"`
}

/** The address of one query in Explore (schema 1 of its state). */
export function exploreUrl(source: Source, query: object, range: { from: string; to: string }): string {
  const pane = { datasource: source.uid, queries: [{ refId: 'A', datasource: source, ...query }], range }
  return `/explore?schemaVersion=1&orgId=1&panes=${encode(JSON.stringify({ crank: pane }))}`
}

// Grafana replaces `${…}` and encodes what it puts there; everything else has to be encoded here.
function encode(text: string): string {
  return encodeURIComponent(text).replace(/%24%7B.*?%7D/g, (variable) => decodeURIComponent(variable))
}
