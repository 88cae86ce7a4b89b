// Sources in memory, beside an empty worker runtime; and marks « » in them for the place where a fault is expected.
import { analyse, type Analysis } from '../../src/cli/manifest/analysis.ts'
import { formatFault } from '../../src/cli/manifest/fault.ts'
import { createSources } from '../../src/cli/manifest/sources.ts'

export type Files = Readonly<Record<string, string>>

const RUNTIME = { 'src/worker/define.ts': 'export {}' }
const IMPORT = "import { defineCapability, defineWorker } from '../worker/define.ts'\n"

/** Files of src/workers by name; the runtime's two functions are imported by each. Others have a path with a slash. */
export function analyseCode(files: Files): Analysis {
  const texts = new Map(Object.entries({ ...RUNTIME, ...pathsOf(files) }))
  const own = [...texts.keys()].filter((path) => path.startsWith('src/workers/'))
  return analyse(createSources(own, (path) => texts.get(path)?.replaceAll(/[«»]/g, '')))
}

/** The lists of the only worker. @throws {Error} with the faults, if there are any */
export function readWorker(files: Files): { provided: readonly string[]; required: readonly string[] } {
  const { workers, faults } = analyseCode(files)
  if (faults.length > 0 || workers.length !== 1) throw new Error(faults.map(formatFault).join('\n') || 'not one worker')
  return { provided: workers[0]!.provided, required: workers[0]!.required }
}

/** The faults, and those that the marks ask for: `file:line:column expression`. */
export function faultsOf(files: Files): { found: string[]; marked: string[]; reasons: string } {
  const { faults } = analyseCode(files)
  return {
    found: faults.map(({ file, line, column, expression }) => `${file}:${line}:${column} ${expression}`),
    marked: Object.entries(pathsOf(files)).flatMap(([path, text]) => marksIn(path, text)),
    reasons: faults.map(({ reason }) => reason).join('; '),
  }
}

/** A file with a worker of this id; `options` are the further members of defineWorker's options, as text. */
export function workerCode(code: string, capabilities: string, options = ''): string {
  return `${code}\nexport const worker = defineWorker({ id: 'worker-a', capabilities: ${capabilities}, ${options} })\n`
}

function pathsOf(files: Files): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) =>
      name.includes('/') ? [name, text] : [`src/workers/${name}`, IMPORT + text],
    ),
  )
}

function marksIn(path: string, text: string): string[] {
  return [...text.matchAll(/«(.*?)»/gs)].map((match) => {
    const before = text.slice(0, match.index).replaceAll(/[«»]/g, '').split('\n')
    const expression = match[1]!.replaceAll(/\s+/g, ' ')
    return `${path}:${before.length}:${before.at(-1)!.length + 1} ${expression}`
  })
}
