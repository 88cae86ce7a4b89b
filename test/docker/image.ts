// The image without a container engine: what its stages copy and run, done in folders. Packages are links into node_modules.
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { run } from '../../scripts/tools/run.ts'
import { ROOT } from './compose.ts'
import { copiesIn, stagesFor, type Copy, type Stage } from './dockerfile.ts'
import { packagesFor } from './lock-file.ts'

// No npm_config_* of an npm that runs the tests.
const ENV = { PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, HOME: process.env['HOME'] }

/** Makes images below `root`; a stage that two of them have in common is made once. */
export function createImageMaker(root: string) {
  const made = new Map<string, Promise<string>>()

  /** The folder of the image for a value of WORKERS: its /app. @throws {Error} with what a command said that failed */
  async function image(workers: string): Promise<string> {
    const stages = stagesFor(workers)
    const folder = join(root, `image-${workers}`)
    await mkdir(folder)
    for (const copy of copiesIn(stages.get('image')?.steps ?? [])) await copyInto(folder, copy, stages)
    return folder
  }

  async function copyInto(folder: string, { from, sources, target }: Copy, stages: Map<string, Stage>): Promise<void> {
    const source = from === undefined ? ROOT : await folderOf(from, stages)
    for (const path of sources.map((path) => path.replace('/build/', ''))) {
      const to = join(folder, target, target.endsWith('/') ? basename(path) : '')
      await cp(join(source, path), to, { recursive: true, verbatimSymlinks: true })
    }
  }

  function folderOf(name: string, stages: Map<string, Stage>): Promise<string> {
    const stage = stages.get(name)
    if (stage === undefined) throw new Error(`the Dockerfile has no stage ${name}`)
    // Another name for its base.
    if (stage.steps.length === 0) return folderOf(stage.base, stages)
    const known = made.get(name) ?? makeStage(stage, stages)
    made.set(name, known)
    return known
  }

  async function makeStage({ name, base, steps }: Stage, stages: Map<string, Stage>): Promise<string> {
    const folder = join(root, name)
    await (stages.has(base) ? cp(await folderOf(base, stages), folder, { recursive: true }) : mkdir(folder))
    for (const step of steps) {
      if (step.name === 'RUN') for (const command of step.args.split(' && ')) await runIn(folder, command)
      for (const copy of copiesIn([step])) await copyInto(folder, copy, stages)
    }
    return folder
  }

  return image
}

async function runIn(folder: string, command: string): Promise<void> {
  const isInstall = command.startsWith('npm ci ')
  // Whether the lock file fits what has been copied is npm's to say; --offline: it needs nothing else for that.
  const { code, stdout, stderr } = await run('/bin/sh', ['-c', command + (isInstall ? ' --dry-run --offline' : '')], {
    cwd: folder,
    env: ENV,
  })
  if (code !== 0) throw new Error(`${command}: ${stdout}${stderr}`)
  if (isInstall) await linkPackages(folder, command.split(' '))
}

// Never one link for all of node_modules: a command that removes some of it would remove them from the repository.
async function linkPackages(folder: string, flags: readonly string[]): Promise<void> {
  const isTop = (path: string): boolean => path.lastIndexOf('node_modules/') === 0
  const all = async (): Promise<string[]> =>
    (await readdir(join(ROOT, 'node_modules'))).map((name) => `node_modules/${name}`)
  // Those inside of another come along with it. What is for other platforms is not there, and leads nowhere.
  for (const path of flags.includes('--omit=dev') ? [...packagesFor(flags)].filter(isTop) : await all()) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await symlink(join(ROOT, path), join(folder, path))
  }
}
