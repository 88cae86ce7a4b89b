// Packages of workers in a temporary folder, as another repository would have them. `RUNTIME` is imported by absolute path.
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export type WorkerPackage = AsyncDisposable & {
  readonly dir: string
  /** The folder of the sources. */
  readonly workers: string
}

const ROOT = join(import.meta.dirname, '../..')
const RUNTIME = join(ROOT, 'src/worker/define.ts')

/** What each source begins with: the runtime, and a capability that answers with its input. One line. */
export const HEAD = `import Type from '${join(ROOT, 'node_modules/typebox/build/index.mjs')}'; import { defineCapability, defineWorker } from '${RUNTIME}'; const Text = Type.Object({ text: Type.String() }); const cap = (capability, requires = []) => defineCapability({ verb: capability.split(':')[0], name: capability.split(':')[1], version: '1.0.0', requires, input: Text, output: Text, handler: ({ input }) => input });
`

/** A definition of one capability, as an expression. */
export function worker(name: string, capability: string, requires: readonly string[] = []): string {
  return `defineWorker({ id: 'worker-${name}', capabilities: [cap('${capability}', ${JSON.stringify(requires)})] })`
}

/** Files of the package by path; node_modules are those of this repository. */
export async function writePackage(files: Readonly<Record<string, string>>): Promise<WorkerPackage> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'crank-package-')))
  const all = { 'package.json': '{"name":"their-workers","type":"module"}', ...files }
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), text)
  }
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  const remove = () => rm(dir, { recursive: true, force: true })
  return { dir, workers: join(dir, 'workers'), [Symbol.asyncDispose]: remove }
}
