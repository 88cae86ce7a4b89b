// `crank slo report`: a row for each objective of each capability.
import { EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeTable, type Column, type Format } from '../output.ts'
import { count, days, percent } from './figures.ts'
import { readSloSamples, type ScrapeOptions } from './scrape.ts'
import { standingsIn, type Standing } from './standing.ts'

const COLUMNS: readonly Column<Standing>[] = [
  { title: 'CAPABILITY', cell: ({ capability }) => capability },
  { title: 'OBJECTIVE', cell: objectiveText },
  { title: 'TARGET', cell: ({ target }) => percent(target) },
  { title: 'ATTAINED', cell: ({ attained, target, calls }) => (calls === 0 ? '-' : percent(attained, target)) },
  { title: 'CALLS', cell: ({ calls }) => String(calls) },
  { title: 'BUDGET LEFT', cell: ({ budget_left: left, missed }) => paint(missed ? 'red' : 'green', percent(left)) },
  { title: 'BURN 5M', cell: ({ burn }) => burn['5m'].toFixed(1) },
  { title: '1H', cell: ({ burn }) => burn['1h'].toFixed(1) },
  { title: '6H', cell: ({ burn }) => burn['6h'].toFixed(1) },
  { title: 'STATE', cell: stateText },
]

/** Always `ok`: `crank slo check` is the command that judges. */
export async function reportSlos(options: ScrapeOptions & { output: Format }): Promise<ExitCode> {
  const standings = standingsIn(await readSloSamples(options))
  if (options.output === 'json') writeJson({ objectives: standings })
  else writeTable(COLUMNS, standings)
  const capabilities = new Set(standings.map(({ capability }) => capability)).size
  say(
    `${count(standings.length, 'objective')} of ${capabilities === 1 ? '1 capability' : `${capabilities} capabilities`}`,
  )
  return EXIT.ok
}

function objectiveText({ objective, limit_ms: limit, window_days: window }: Standing): string {
  return limit === null ? `${objective} over ${days(window)}` : `${objective} <= ${limit} ms`
}

function stateText({ missed, burning, shed }: Standing): string {
  const refused = Object.entries(shed).filter(([, share]) => share > 0)
  const parts = [
    missed ? paint('red', 'missed') : 'met',
    ...(burning === null ? [] : [paint('yellow', `burns ${burning}`)]),
    ...refused.map(([priority, share]) => `sheds ${percent(share)} of ${priority}`),
  ]
  return parts.join(', ')
}
