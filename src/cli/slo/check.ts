// `crank slo check`: whether every objective is met, or whether the files of a folder can be used.
import { loadSloFolder, SloFilesError } from '../../slo/slo-folder.ts'
import { EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeLine, type Format } from '../output.ts'
import { count, days, percent } from './figures.ts'
import { readSloSamples, type ScrapeOptions } from './scrape.ts'
import { standingsIn, type Standing } from './standing.ts'

type CheckOptions = ScrapeOptions & { dir?: string | undefined; output: Format }

/** `negative` for a missed objective or a faulty file. */
export async function checkSlos(options: CheckOptions): Promise<ExitCode> {
  if (options.dir !== undefined) return checkFiles(options.dir, options.output)
  const standings = standingsIn(await readSloSamples(options))
  const missed = standings.filter((standing) => standing.missed)
  if (options.output === 'json') writeJson({ ok: missed.length === 0, missed })
  else for (const standing of missed) writeLine(`${paint('red', 'missed')}  ${sentenceOf(standing)}`)
  const total = count(standings.length, 'objective')
  say(missed.length === 0 ? `${total}, all met` : `${missed.length} of ${total} missed`)
  return missed.length === 0 ? EXIT.ok : EXIT.negative
}

async function checkFiles(dir: string, output: Format): Promise<ExitCode> {
  try {
    const slos = await loadSloFolder({ dir, mayBeAbsent: false })
    if (output === 'json') writeJson({ ok: true, slos: slos.length, faults: [] })
    say(`${dir}: ${count(slos.length, 'SLO')}, no faults`)
    return EXIT.ok
  } catch (cause: unknown) {
    if (!(cause instanceof SloFilesError)) throw cause
    const { faults } = cause
    if (output === 'json') writeJson({ ok: false, faults })
    else for (const fault of faults) writeLine(fault)
    say(`${dir}: ${count(faults.length, 'fault')}`)
    return EXIT.negative
  }
}

function sentenceOf({
  capability,
  objective,
  target,
  limit_ms: limit,
  calls,
  attained,
  burn,
  ...rest
}: Standing): string {
  const what = limit === null ? 'did not fail' : `began their answer within ${limit} ms`
  const failed = Math.round(calls * (1 - attained))
  return (
    `${capability} ${objective}: ${percent(attained, target)} of ${calls} calls ${what}, the objective is ` +
    `${percent(target)} over ${days(rest.window_days)}; ${failed} missed it, budget left ${percent(rest.budget_left)}, ` +
    `burn rate ${burn['1h'].toFixed(1)} over 1 h`
  )
}
