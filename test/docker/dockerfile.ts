// The Dockerfile as a list of instructions.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './compose.ts'

export type Instruction = { readonly name: string; readonly args: string }
/** `base`: an image, or an earlier stage. `name`: of the last one `image`. */
export type Stage = { readonly name: string; readonly base: string; readonly steps: readonly Instruction[] }
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
  return argumentsIn(instructions, name)
}

/** The same, of some instructions. */
export function argumentsIn(list: readonly Instruction[], name: string): string[] {
  return list.filter((instruction) => instruction.name === name).map(({ args }) => args)
}

/** The instructions of the last stage, which is what the image is. */
export function finalStage(): readonly Instruction[] {
  return instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'))
}

/** The stages by name, for a value of the build argument WORKERS. */
export function stagesFor(workers: string): Map<string, Stage> {
  const starts = instructions.flatMap(({ name }, at) => (name === 'FROM' ? [at] : []))
  const stages = starts.map((start, index): Stage => {
    const [, base = '', name = 'image'] = /^(\S+)(?: AS (\S+))?$/.exec(instructions[start]?.args ?? '') ?? []
    const steps = instructions.slice(start + 1, starts[index + 1])
    return { name, base: base.replace('${WORKERS}', workers).replace('${NODE_IMAGE}', nodeImage()), steps }
  })
  return new Map(stages.map((stage) => [stage.name, stage]))
}

/** What the build argument NODE_IMAGE is by default. */
export function nodeImage(): string {
  return (
    argumentsOf('ARG')
      .find((argument) => argument.startsWith('NODE_IMAGE='))
      ?.slice('NODE_IMAGE='.length) ?? ''
  )
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
