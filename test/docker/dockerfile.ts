// The Dockerfile as a list of instructions.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './compose.ts'

export type Instruction = { readonly name: string; readonly args: string }
export type Copy = { readonly from: string | undefined; readonly sources: readonly string[]; readonly target: string }

export const instructions: readonly Instruction[] = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n/g, ' ')
  .split('\n')
  .map((line) => /^([A-Z]+)\s+(.+)$/.exec(line.trim()))
  .filter((match) => match !== null)
  .map(([, name = '', args = '']) => ({ name, args: args.replaceAll(/\s+/g, ' ') }))

/** The arguments of every instruction of that name. */
export function argumentsOf(name: string): string[] {
  return instructions.filter((instruction) => instruction.name === name).map(({ args }) => args)
}

/** The instructions of the last stage, which is what the image is. */
export function finalStage(): readonly Instruction[] {
  return instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'))
}

/** The COPY instructions of some stages. */
export function copiesIn(list: readonly Instruction[]): Copy[] {
  return list
    .filter(({ name }) => name === 'COPY')
    .map(({ args }) => {
      const words = args.split(' ')
      const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length)
      const paths = words.filter((word) => !word.startsWith('--'))
      return { from, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' }
    })
}

/** The JSON form of ENTRYPOINT, CMD and of the command behind HEALTHCHECK's options. */
export function execForm(args: string): string[] {
  return JSON.parse(args.slice(args.indexOf('['))) as string[]
}
