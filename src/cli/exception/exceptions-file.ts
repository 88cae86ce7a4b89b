// policies/data/exceptions.json in the work tree: read with everything that a change is checked against, and written
// atomically.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkPolicyData } from '../../policy/data/data-schema.ts'
import { parseExactJson } from '../../policy/data/exact-json.ts'
import { isRecord } from '../../policy/data/json-object.ts'
import { checkJsonText } from '../../policy/data/json-text.ts'
import { loadPolicyFiles, PolicyFilesError, type PolicyFiles } from '../../policy/data/policy-files.ts'
import { CliError, EXIT, usageFailure } from '../exit.ts'
import { policyDirOf } from '../places.ts'
import { paint, say, writeLine, type Colour, type Format } from '../output.ts'
import { lineDiff } from './line-diff.ts'

export type ExceptionsFile = {
  readonly path: string
  readonly text: string
  /** By SPIFFE ID; 19-digit numbers are BigInts. */
  readonly entries: Readonly<Record<string, unknown>>
  readonly policy: PolicyFiles
}

export type EditOptions = { policy?: string | undefined; dryRun?: true | undefined; output: Format }

/** Reads the policy folder. @throws {CliError} `usage` when it cannot be used. */
export async function readExceptions(options: { policy?: string | undefined }): Promise<ExceptionsFile> {
  const dir = policyDirOf(options)
  const path = join(dir, 'data', 'exceptions.json')
  try {
    const policy = await loadPolicyFiles(dir, Date.now())
    const text = await readFile(path, 'utf8')
    return { path, text, entries: parse(text), policy }
  } catch (cause: unknown) {
    const hint = 'the policy folder is set by --policy or CRANK_POLICY_DIR'
    throw usageFailure('the policy folder cannot be used', cause, isFolderFault(cause) ? hint : undefined)
  }
}

/**
 * Shows the change, and writes it unless it is a dry run. `spiffeId`: the identity whose entry was edited.
 * @throws {CliError} `internal` if the new text is not the expected one: then nothing is written
 */
export async function writeExceptions(file: ExceptionsFile, text: string, options: EditOptions): Promise<void> {
  checkEdit(file, text)
  showDiff(lineDiff(file.text, text), options.output)
  if (options.dryRun === true) {
    say('dry run: nothing was written')
    return
  }
  // Not *.json: the controller watches this folder.
  const temporary = join(file.path, '..', `.exceptions.${process.pid}.tmp`)
  try {
    await writeFile(temporary, text)
    await rename(temporary, file.path)
  } finally {
    await rm(temporary, { force: true })
  }
  say(`${file.path} is written: commit it. A controller that reads this folder applies it within a second`)
}

function checkEdit(file: ExceptionsFile, text: string): void {
  checkJsonText(text)
  const maxDays = file.policy.maxExceptionDays
  const before = new Set(checkPolicyData('exceptions.json', file.entries, { maxDays }).map(({ path }) => path))
  const fresh = checkPolicyData('exceptions.json', parse(text), { maxDays }).filter(({ path }) => !before.has(path))
  const [fault] = fresh
  if (fault !== undefined) throw new CliError(EXIT.usage, `${fault.path} ${fault.reason}: nothing was written`)
}

function showDiff(lines: readonly string[], output: Format): void {
  const colours: Readonly<Record<string, Colour>> = { '-': 'red', '+': 'green' }
  // With -o json stdout is for the answer.
  const print = output === 'json' ? say : writeLine
  for (const line of lines) {
    const colour = colours[line[0] ?? '']
    print(colour === undefined ? line : paint(colour, line, output === 'json' ? process.stderr : process.stdout))
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  const value = parseExactJson(text)
  return isRecord(value) ? value : {}
}

function isFolderFault(cause: unknown): boolean {
  return !(cause instanceof PolicyFilesError)
}
