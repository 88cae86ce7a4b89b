// The commands of a document: its fenced blocks marked `sh`, by heading, split into single commands, and run as they stand.
import { execFile } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { expect } from 'vitest'

/** `mark`: what follows `sh`. `back`: the block undoes what the one before it did. */
export type Block = {
  readonly heading: string
  readonly mark: string
  readonly back: boolean
  readonly commands: readonly Command[]
}
/** `exit`: the code that the document says it ends with. */
export type Command = { readonly text: string; readonly exit: number }
export type Ran = { readonly text: string; readonly exit: number; readonly stdout: string; readonly stderr: string }

const CRANK = join(import.meta.dirname, '../../bin/crank.js')
const HEADING_OR_BLOCK = /^#{2,} (?<heading>.+)$|^```(?<info>[^\n]*)\n(?<code>[\s\S]*?)^```$/gm
const HEREDOC = /<<'(\w+)'$/
const EXIT = /# exit (\d)$/

/** Every block marked `sh`, `sh back`, or with a folder: `sh in …`, `sh beside …`, in the order of the document. */
export function guideBlocks(markdown: string): Block[] {
  const blocks: Block[] = []
  let heading = ''
  for (const { groups = {} } of markdown.matchAll(HEADING_OR_BLOCK)) {
    if (groups['heading'] !== undefined) heading = groups['heading']
    const mark = /^sh(?: (back|(?:in|beside) .*))?$/.exec(groups['info'] ?? '')
    if (mark === null) continue
    const [, name = ''] = mark
    blocks.push({ heading, mark: name, back: name === 'back', commands: commandsOf(groups['code'] ?? '') })
  }
  return blocks
}

/**
 * Runs commands one after the other in `cwd`, with `crank` on the path and only `env` besides; each has to end as the
 * document says.
 */
export async function runCommands(commands: readonly Command[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ran[]> {
  const bin = join(cwd, '.bin')
  await mkdir(bin, { recursive: true })
  await writeFile(
    join(bin, 'crank'),
    `#!/bin/sh
exec '${process.execPath}' '${CRANK}' "$@"
`,
  )
  await chmod(join(bin, 'crank'), 0o755)
  const path = [bin, dirname(process.execPath), process.env['PATH']].join(delimiter)
  const ran: Ran[] = []
  for (const command of commands) {
    const result = await runOne(command, cwd, { PATH: path, ...env })
    expect(result).toEqual({ ...result, exit: command.exit })
    ran.push(result)
  }
  return ran
}

function runOne({ text }: Command, cwd: string, env: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile('/bin/sh', ['-c', text], { cwd, env }, (_error, stdout, stderr) => {
      resolve({ text, exit: child.exitCode ?? -1, stdout, stderr })
    })
  })
}

/** A command is a line, with its here-document and without an empty line or a comment. */
function commandsOf(code: string): Command[] {
  const commands: Command[] = []
  const lines = code.split('\n')
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    const end = HEREDOC.exec(line)?.[1]
    const document = end === undefined ? [] : lines.splice(0, lines.indexOf(end) + 1)
    const text = [line, ...document].join('\n')
    if (line !== '' && !line.startsWith('#')) commands.push({ text, exit: Number(EXIT.exec(line)?.[1] ?? 0) })
  }
  return commands
}
