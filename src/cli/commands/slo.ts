// `crank slo`: service level objectives, from the files and from a running controller.
import { Command, Option } from '@commander-js/extra-typings'
import { outputOption } from '../options.ts'

/** `crank slo` */
export function sloCommand() {
  return new Command('slo')
    .description('service level objectives of capabilities')
    .addCommand(checkCommand())
    .addCommand(reportCommand())
}

function checkCommand() {
  return new Command('check')
    .description('exit 1 if an objective is missed, or with --dir if a file has a fault')
    .addOption(metricsOption())
    .addOption(urlOption())
    .addOption(
      new Option('--dir <folder>', 'check the SLO files in this folder, without a controller').conflicts([
        'metrics',
        'url',
      ]),
    )
    .addOption(outputOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nAn objective is missed when its error budget is used up. Without --metrics, --url or --dir: the controller at\n' +
        'CRANK_ADMIN_URL.\n\nExamples:\n' +
        '  crank slo check\n  crank slo check --dir slos\n  crank slo check --metrics scrape.txt --json',
    )
    .action(async (options) => {
      const { checkSlos } = await import('../slo/check.ts')
      process.exitCode = await checkSlos(options)
    })
}

function reportCommand() {
  return new Command('report')
    .description('show for each objective what was attained, the budget that is left, and how fast it burns')
    .addOption(metricsOption())
    .addOption(urlOption())
    .addOption(outputOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nThe figures are those of one controller since it started, at most of the window of the SLO.\n\nExamples:\n' +
        '  crank slo report\n  crank slo report --metrics scrape.txt -o json',
    )
    .action(async (options) => {
      const { reportSlos } = await import('../slo/report.ts')
      process.exitCode = await reportSlos(options)
    })
}

function metricsOption() {
  return new Option('--metrics <file>', 'a scrape of the controller: what its /metrics answered').conflicts('url')
}

function urlOption() {
  return new Option('--url <url>', 'admin listener of the controller (CRANK_ADMIN_URL, default http://127.0.0.1:9001)')
}

function jsonOption() {
  return new Option('--json', 'the same as --output json').implies({ output: 'json' as const })
}
