// The metrics of a controller, from a file or from its admin listener: only the series of the SLOs.
import { readFile } from 'node:fs/promises'
import { CliError, EXIT, messageOf } from '../exit.ts'
import { requestHttp } from '../http-request.ts'
import { adminUrlOf } from '../places.ts'

/** Where a scrape comes from; without both, the controller at CRANK_ADMIN_URL. */
export type ScrapeOptions = { metrics?: string | undefined; url?: string | undefined }

/** One series, by the name of its metric without `controller_slo_`. */
export type SloSample = {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const TIMEOUT_MS = 5000
const PREFIX = 'controller_slo_'
const LINE = /^controller_slo_(\w+?)(?:\{([^}]*)\})? (\S+)/
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g

/** @throws {CliError} `usage` for a file without series of SLOs, `unreachable` when no controller answers */
export async function readSloSamples(options: ScrapeOptions): Promise<readonly SloSample[]> {
  const { source, text } = await textOf(options)
  const samples = text.split('\n').flatMap(sampleOf)
  if (samples.some(({ name }) => name === 'objective_ratio')) return samples
  const hint = text.includes(PREFIX)
    ? 'the controller has none in force; write one: docs/slo-authoring.md'
    : 'give the answer of a controller’s /metrics'
  throw new CliError(EXIT.usage, `${source}: no service level objectives`, { hint })
}

async function textOf(options: ScrapeOptions): Promise<{ source: string; text: string }> {
  const { metrics } = options
  if (metrics !== undefined) {
    const text = await readFile(metrics, 'utf8').catch((cause: unknown) => {
      throw new CliError(EXIT.usage, `${metrics}: cannot be read: ${messageOf(cause)}`, { cause })
    })
    return { source: metrics, text }
  }
  const url = adminUrlOf({ adminUrl: options.url })
  try {
    const headers = { accept: 'text/plain' }
    const { statusCode, text } = await requestHttp(`${url}/metrics`, { headers, timeoutMs: TIMEOUT_MS })
    if (statusCode !== 200) throw new Error(`status ${statusCode}`)
    return { source: url, text }
  } catch (cause: unknown) {
    const hint = 'start it (crank controller, npm run demo), or give the URL of its admin listener: --url'
    throw new CliError(EXIT.unreachable, `no metrics from ${url}: ${messageOf(cause)}`, { cause, hint })
  }
}

function sampleOf(line: string): SloSample[] {
  const [, name, labels = '', value] = LINE.exec(line) ?? []
  if (name === undefined || value === undefined || Number.isNaN(Number(value))) return []
  // About the files, and not about a capability.
  if (!labels.includes('capability=')) return []
  const pairs = [...labels.matchAll(LABEL)].map(([, key = '', text = '']) => [key, text] as const)
  return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }]
}
