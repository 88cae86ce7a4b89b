// `crank manifest generate|verify|diff`: reads code and manifest, and prints or writes the result.
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeLine, type Format } from '../output.ts'
import { trustDomainOf } from '../places.ts'
import { compare, differencesOf, formatDifference, update, type Comparison, type Difference } from './compare.ts'
import { formatManifest, type ManifestFile } from './entries.ts'
import { formatFault, type Fault } from './fault.ts'
import { importDefinitions, type Definitions } from './import-definitions.ts'
import { deploymentTime, manifestPath, readManifestFile, replaceManifest, withManifestErrors } from './manifest-file.ts'
import { diffLines, toJson } from './report.ts'

export type ManifestOptions = {
  /** Folder of the sources, or one file. They are executed. */
  workers: string
  /** Default: data/worker_manifests.json of CRANK_POLICY_DIR. */
  manifest?: string | undefined
  trustDomain?: string | undefined
  output: Format
}
export type GenerateOptions = ManifestOptions & { owner: string; dryRun?: true | undefined }

/** The result of reading code and manifest. With faults there are no differences. */
export type Inspection = {
  readonly path: string
  readonly file: ManifestFile
  readonly comparison: Comparison
  readonly differences: readonly Difference[]
  readonly faults: readonly Fault[]
}

/** Writes the manifest; with faults, or with --dry-run, writes nothing. Exit 1 for faults. */
export async function generateManifest(options: GenerateOptions, now: () => number): Promise<ExitCode> {
  const inspection = await inspect(options)
  const { path, file, comparison, faults } = inspection
  const fresh = { owner: options.owner, deployedAt: deploymentTime(now()) }
  const text = formatManifest(file, update(comparison, fresh))
  const changed = faults.length === 0 && text !== file.text
  const written = changed && options.dryRun !== true
  if (written) await replaceManifest(path, text)
  return report(options, inspection, { changed, written }, () => {
    printDiff(inspection)
    const wrote = written ? 'written' : 'not written (--dry-run)'
    say(changed ? `${path}: ${wrote}` : `${path} is up to date`)
  })
}

/** Lists each difference between code and manifest. Exit 1 for any, and for faults. */
export async function verifyManifest(options: ManifestOptions): Promise<ExitCode> {
  const inspection = await inspect(options)
  const { faults, differences, comparison } = inspection
  const ok = faults.length === 0 && differences.length === 0
  const exit = report(options, inspection, { ok }, () => {
    for (const line of linesOf(inspection)) writeLine(line)
    for (const { spiffeId } of comparison.codeElsewhere) say(`no code here: ${spiffeId} (its entry is kept)`)
    for (const line of curesFor(differences)) say(line)
    if (ok) say(`${paint('green', '✓', process.stderr)} ${comparison.pairs.length} workers: code and manifest agree`)
  })
  return ok ? exit : EXIT.negative
}

/** Shows what `generate` would change, as lines with + and -. Exit 1 for faults only. */
export async function diffManifest(options: ManifestOptions): Promise<ExitCode> {
  const inspection = await inspect(options)
  return report(options, inspection, {}, () => {
    printDiff(inspection)
    if (inspection.differences.length === 0) say('code and manifest agree')
  })
}

// A surplus capability is a permission that somebody may have granted on purpose, so only a person removes it.
function curesFor(differences: readonly Difference[]): string[] {
  const surplus = differences.filter(({ kind }) => kind === 'surplus')
  const rest = differences.filter(({ kind }) => kind !== 'surplus')
  return [
    ...(rest.length > 0 && surplus.length === 0 ? ['update the manifest from the code: crank manifest generate'] : []),
    ...(surplus.length > 0
      ? ['add missing capabilities to the code (`provides`, `requires`), or remove unneeded ones from the manifest']
      : []),
  ]
}

function report(options: ManifestOptions, inspection: Inspection, result: object, print: () => void): ExitCode {
  const { faults } = inspection
  if (options.output === 'json') writeJson({ ...result, ...toJson(inspection) })
  else if (faults.length === 0) print()
  else {
    for (const line of linesOf(inspection)) say(line)
    say('nothing was compared or written')
  }
  return faults.length === 0 ? EXIT.ok : EXIT.negative
}

/** One line per fault, or else per difference. */
export function linesOf({ faults, differences }: Inspection): string[] {
  return faults.length > 0 ? faults.map(formatFault) : differences.map(formatDifference)
}

/** @throws {CliError} when sources or manifest cannot be read */
export async function inspect(options: Omit<ManifestOptions, 'output'>): Promise<Inspection> {
  const path = manifestPath(options.manifest)
  const trustDomain = trustDomainOf(options)
  const { workers, faults } = await readDefinitions(options.workers)
  if (workers.length === 0 && faults.length === 0) {
    throw new CliError(EXIT.usage, `${options.workers}: no source calls defineWorker`)
  }
  const file = await readManifestFile(path)
  // With faults the list of workers is incomplete, so nothing is compared.
  const nothing: Comparison = { pairs: [], codeElsewhere: [] }
  const comparison = faults.length > 0 ? nothing : withManifestErrors(path, () => compare(file, workers, trustDomain))
  return { path, file, comparison, faults, differences: comparison.pairs.flatMap(differencesOf) }
}

async function readDefinitions(path: string): Promise<Definitions> {
  return importDefinitions(path).catch((cause: unknown) => {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new CliError(EXIT.usage, `the sources of the workers cannot be read: ${message}`, { cause })
  })
}

function printDiff(inspection: Inspection): void {
  for (const line of diffLines(inspection.comparison)) {
    const colour = line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'bold'
    writeLine(paint(colour, line))
  }
}
