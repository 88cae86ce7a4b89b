// What the tarball has in it: the compiled program and what package.json lists under `files`, with the lock file as
// npm-shrinkwrap.json (npm packs no package-lock.json), so that `npm ci` installs the tested versions.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../tools/run.ts'
import type { ReleaseSource } from './make-release.ts'

type Manifest = {
  readonly name: string
  readonly version: string
  readonly files: readonly string[]
  readonly workspaces: readonly string[]
}

const SHRINKWRAP = 'npm-shrinkwrap.json'

/** Fills a folder below `work`. @throws {Error} when the program does not compile */
export async function stage(
  { root, commit }: ReleaseSource,
  work: string,
): Promise<{ readonly folder: string; readonly name: string; readonly version: string }> {
  const folder = join(work, 'package')
  await mkdir(folder)
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const compile = [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')]
  const { code, stdout } = await run(process.execPath, compile, { cwd: root })
  if (code !== 0) throw new Error(`the program does not compile: ${stdout}`)
  const others = manifest.files.filter(
    (path) => path !== 'dist' && path !== SHRINKWRAP && !path.startsWith('!') && !path.includes('*'),
  )
  for (const path of [...others, 'README.md', ...manifest.workspaces.map((path) => `${path}/package.json`)]) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await cp(join(root, path), join(folder, path), { recursive: true })
  }
  await cp(join(root, 'package-lock.json'), join(folder, SHRINKWRAP))
  // As npm does when it publishes; `crank version` shows it.
  await writeFile(join(folder, 'package.json'), `${JSON.stringify({ ...manifest, gitHead: commit }, null, 2)}\n`)
  return { folder, name: manifest.name, version: manifest.version }
}
