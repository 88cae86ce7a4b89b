// Prints an explanation.
import { join } from 'node:path'
import { paint, writeLine } from '../output.ts'
import { COLOURS } from './answer.ts'
import type { Nearest } from './nearest-miss.ts'

const NAME_WIDTH = 12

/** A title and named facts, one per line. */
export function writeFacts(
  ruling: string,
  title: string,
  facts: readonly (readonly [name: string, value: string])[],
): void {
  const colour = Object.entries(COLOURS).find(([name]) => name === ruling)?.[1] ?? 'bold'
  writeLine(`${paint(colour, ruling)}  ${title}`.trimEnd())
  for (const [name, value] of facts) writeLine(`  ${paint('dim', name.padEnd(NAME_WIDTH))}${value}`)
}

/** Prints the nearest misses, and what would change the answer, with file and command. */
export function writeNearest({ misses, changes }: Nearest, policyDir: string): void {
  if (misses.length > 0) writeLine('nearest miss')
  for (const miss of misses) writeLine(`  - ${miss}`)
  if (changes.length > 0) writeLine('what would change it')
  for (const { what, file, path, command } of changes) {
    writeLine(`  - ${what}`)
    if (file !== null) writeLine(`      ${paint('dim', `${join(policyDir, 'data', file)}  ${path ?? ''}`)}`)
    if (command !== null) writeLine(`      $ ${command}`)
  }
}
