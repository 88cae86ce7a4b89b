// Finds out which policy a sidecar has loaded. With bundles OPA reports their revision. With files it has no revision: we
// read its sources back, and OPA itself compares its data with ours (policies/opa_revision.rego), so that no number is
// rounded and the data is sent only when it may have changed.
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { Pool } from 'undici'
import { formatTraceparent, unrecordedTrace } from '../../core/trace-context.ts'
import { isRecord } from '../data/json-object.ts'
import { membersAsText } from '../data/raw-json.ts'
import { answerBody, bundleRevision, isDeadConnection, poolOptions, type OpaTarget } from './opa-target.ts'
import type { PolicyFiles } from '../data/policy-files.ts'
import { hashSources, isCompiled } from '../data/source-hash.ts'

/** `unknown`: OPA does not report it, because it is down or its own authorisation forbids it. */
export type LoadedByOpa =
  | {
      readonly kind: 'bundle'
      readonly revision: string
      /** Unix ms of OPA's last successful poll, if it reports that. */
      readonly polledAtMs: number | undefined
      /** Why OPA did not activate the last bundle that it downloaded. */
      readonly fault: string | undefined
    }
  | {
      readonly kind: 'files'
      /** Rego and data are the same as in `files`. */
      readonly isOurs: boolean
      /** The data is the same, regardless of the Rego. */
      readonly isDataOurs: boolean
      /** 12 hex digits that identify what is loaded. */
      readonly name: string
      /** What differs, for the log. */
      readonly difference: string | undefined
    }
  | { readonly kind: 'unknown'; readonly reason: string }

type OpaReader = {
  /** Never rejects. */
  readonly loaded: (files: PolicyFiles) => Promise<LoadedByOpa>
  readonly close: () => Promise<void>
}

const LOADED = '/v1/data/crank/revision/loaded?provenance=true'
/** The documents that policies/opa_revision.rego compares. */
const DOCUMENTS = ['workers', 'exceptions', 'exception_limits', 'enforcement', 'blocked']
const ANSWER_LIMIT_MS = 2000
const MAX_REASON = 256

/** Uses its own connection, so that a large answer delays no decision. */
export function createOpaReader(target: OpaTarget): OpaReader {
  const { origin, options } = poolOptions(target)
  const pool = new Pool(origin, { ...options, connections: 1 })
  // The hash of OPA's data when it was last equal to ours, and our data at that time.
  let known: { readonly dataText: string; readonly dataSha256: string } | undefined

  const ask = async (
    method: 'GET' | 'POST',
    path: string,
    body?: string,
  ): Promise<Readonly<Record<string, unknown>>> => {
    const headers = { 'content-type': 'application/json', traceparent: formatTraceparent(unrecordedTrace()) }
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS)
    const once = () => pool.request({ method, path, headers, signal, ...(body === undefined ? {} : { body }) })
    const answer = await once().catch((cause: unknown) => {
      // Asking changes nothing, so ask again if the connection was left over from before a restart of OPA.
      if (isDeadConnection(cause)) return once()
      throw cause
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: HTTP ${answer.statusCode}`)
    try {
      return answerBody(text)
    } catch (cause: unknown) {
      throw new Error(`${method} ${path}: ${String(cause)}`, { cause })
    }
  }

  const bundle = async (revision: string): Promise<LoadedByOpa> => {
    const status = await ask('GET', '/v1/status').catch(() => ({}))
    return { kind: 'bundle', revision, ...bundleStatus(status) }
  }

  const files = async (own: PolicyFiles, first: Readonly<Record<string, unknown>>): Promise<LoadedByOpa> => {
    let data = dataAnswer(first)
    const isKnown = known?.dataText === own.dataText && known.dataSha256 === data.dataSha256
    if (!isKnown) data = dataAnswer(await ask('POST', LOADED, `{"input":{"documents":${documentsOf(own)}}}`))
    if (!isKnown && data.equal) known = { dataText: own.dataText, dataSha256: data.dataSha256 }
    const { result: modules } = await ask('GET', '/v1/policies')
    const sourceSha256 = hashModules(modules)
    const sameRego = sourceSha256 === own.sourceSha256
    const sameData = isKnown || data.equal
    const name = createHash('sha256').update(`${sourceSha256} ${data.dataSha256}`).digest('hex').slice(0, 12)
    const difference = [sameRego ? [] : ['Rego'], sameData ? [] : ['data']].flat().join(' and ')
    return {
      kind: 'files',
      isOurs: sameRego && sameData,
      isDataOurs: sameData,
      name,
      difference: difference === '' ? undefined : difference,
    }
  }

  return {
    async loaded(own) {
      try {
        const first = await ask('POST', LOADED, '{"input":{}}')
        const revision = bundleRevision(first)
        return await (revision === undefined ? files(own, first) : bundle(revision))
      } catch (cause: unknown) {
        return { kind: 'unknown', reason: String(cause).slice(0, MAX_REASON) }
      }
    },
    close: () => pool.destroy(),
  }
}

function dataAnswer({ result }: Readonly<Record<string, unknown>>): { dataSha256: string; equal: boolean } {
  if (!isRecord(result) || typeof result['data_sha256'] !== 'string') {
    throw new Error('OPA has no data.crank.revision.loaded: is opa_revision.rego among its files?')
  }
  return { dataSha256: result['data_sha256'], equal: result['equal'] === true }
}

/** The part of the data that a sidecar may have, with its numbers unchanged. */
function documentsOf({ dataText }: PolicyFiles): string {
  const members = membersAsText(dataText).filter(([name]) => DOCUMENTS.includes(name))
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`
}

function hashModules(modules: unknown): string {
  if (!Array.isArray(modules)) throw new Error('GET /v1/policies: not a list')
  const sources = modules.flatMap((module: unknown) => {
    if (!isRecord(module) || typeof module['id'] !== 'string' || typeof module['raw'] !== 'string') return []
    return [{ name: basename(module['id']), content: module['raw'] }]
  })
  return hashSources(sources.filter(({ name }) => isCompiled(name)))
}

function bundleStatus(status: Readonly<Record<string, unknown>>): {
  polledAtMs: number | undefined
  fault: string | undefined
} {
  const result = isRecord(status['result']) ? status['result'] : {}
  const bundles = Object.values(isRecord(result['bundles']) ? result['bundles'] : {}).filter(isRecord)
  const polls = bundles.map(({ last_successful_request: at }) => (typeof at === 'string' ? Date.parse(at) : NaN))
  const oldest = Math.min(...polls)
  const faults = bundles.flatMap(({ code, message }) =>
    typeof code === 'string' ? [`${code}: ${String(message)}`] : [],
  )
  return { polledAtMs: Number.isFinite(oldest) ? oldest : undefined, fault: faults[0]?.slice(0, MAX_REASON) }
}
