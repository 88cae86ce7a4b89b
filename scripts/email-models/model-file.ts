// Writes model files in prettier's format, or compares them with the current result of training.
import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'

/** Text of a model file. */
export async function modelText(path: string, content: object): Promise<string> {
  return format(JSON.stringify(content), { ...(await resolveConfig(path)), parser: 'json' })
}

/**
 * Writes the result of `train` to `path`; with `--check` among the arguments it compares byte for byte instead.
 * @returns exit code
 */
export async function runTraining(
  path: string,
  script: string,
  train: () => Promise<{ text: string; summary: string }>,
) {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  const { text, summary } = await train()
  if (!values.check) {
    await writeFile(path, text)
    process.stdout.write(`${basename(path)}: ${Buffer.byteLength(text)} bytes, ${summary}\n`)
    return 0
  }
  if (text === (await readFile(path, 'utf8').catch(() => ''))) return 0
  process.stderr.write(`${path} differs from the result of its data: run node scripts/${script}\n`)
  return 1
}
