// The format of a scrape: OpenMetrics, unless the scraper prefers the older text format; gzip if the scraper accepts it.
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Registry } from '../../platform/metrics.ts'

type Scrape = { readonly headers: Readonly<Record<string, string>>; readonly body: string | Buffer }

const TEXT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const OPEN_METRICS = 'application/openmetrics-text'
const EXEMPLAR = / # \{[^}]*\} \S+(?: \S+)?$/
const COUNTER_TYPE = /^# TYPE (\S+) counter$/

/** A scrape in the format that the headers request. The default is OpenMetrics, the only format with exemplars. */
export async function scrapeFor(
  registry: Pick<Registry, 'contentType' | 'metrics'>,
  headers: { readonly accept?: string | undefined; readonly 'accept-encoding'?: string | string[] | undefined },
): Promise<Scrape> {
  const openMetrics = await registry.metrics()
  const isText = prefersText(headers.accept ?? '*/*')
  const text = isText ? prometheusText(openMetrics) : openMetrics
  const common = { 'content-type': isText ? TEXT_TYPE : registry.contentType, vary: 'accept, accept-encoding' }
  if (weightOf(['gzip', '*'], String(headers['accept-encoding'] ?? '')) === 0) return { headers: common, body: text }
  return { headers: { ...common, 'content-encoding': 'gzip' }, body: await promisify(gzip)(text) }
}

/** A scraper that accepts neither gets the text format, which every scraper reads. */
function prefersText(accept: string): boolean {
  const openMetrics = weightOf([OPEN_METRICS, 'application/*', '*/*'], accept)
  return openMetrics === 0 || weightOf(['text/plain', 'text/*', '*/*'], accept) > openMetrics
}

/** The quality (RFC 9110, 12.4.2) of the most specific of `names`, in this order, that the header lists; 0 if none. */
function weightOf(names: readonly string[], header: string): number {
  const listed = new Map<string, number>()
  for (const item of header.toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    const weight = q === undefined ? 1 : Number(q.slice(2))
    listed.set(name, Math.max(listed.get(name) ?? 0, Number.isNaN(weight) ? 0 : weight))
  }
  const name = names.find((one) => listed.has(one))
  return name === undefined ? 0 : (listed.get(name) ?? 0)
}

/** Turns OpenMetrics into text format 0.0.4: counter families have the suffix, and there are no exemplars and no end mark. */
function prometheusText(openMetrics: string): string {
  const lines = openMetrics.split('\n').filter((line) => line !== '# EOF')
  const counters = new Set(lines.map((line) => COUNTER_TYPE.exec(line)?.[1]))
  return lines
    .map((line) => {
      if (!line.startsWith('#')) return line.replace(EXEMPLAR, '')
      const [mark, word, name, ...rest] = line.split(' ')
      return counters.has(name) ? [mark, word, `${name ?? ''}_total`, ...rest].join(' ') : line
    })
    .join('\n')
}
