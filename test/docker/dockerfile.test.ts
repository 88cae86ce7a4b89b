// The Dockerfile against the repository: nobody here can build it, so what it relies on is compared.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ControllerEnv } from '../../src/controller/config.ts'
import { ROOT } from './compose.ts'
import { argumentsIn, argumentsOf, copiesIn, execForm, finalStage, instructions, stagesFor } from './dockerfile.ts'
import { heavyWorkers, packagesFor, workspaces } from './lock-file.ts'

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n')
const allowed = ignored.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
const npmCommands = argumentsOf('RUN').flatMap((args) => args.split(' && ').filter((one) => one.startsWith('npm ')))

describe('the Dockerfile', () => {
  test('builds on small images of the Node that the project runs on', () => {
    const stages = stagesFor('light')
    const images = [...stages.values()].map(({ base }) => base).filter((base) => !stages.has(base))
    expect(images.length).toBeGreaterThan(1)
    expect(new Set(images)).toEqual(new Set(['node:24-slim']))
  })

  test('ends as a user that is not root, given by number', () => {
    const users = finalStage().filter(({ name }) => name === 'USER')
    expect(users.at(-1)?.args).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  })

  test('copies only files that are there, and that .dockerignore lets through', () => {
    const sources = copiesIn(instructions).flatMap(({ from, sources }) => (from === undefined ? sources : []))
    expect(sources).toContain('src')
    for (const source of sources) {
      const path = source.replace(/^\.\//, '')
      expect({ path, there: existsSync(join(ROOT, path)) }).toEqual({ path, there: true })
      expect(allowed.filter((entry) => path === entry || path.startsWith(`${entry}/`))).not.toEqual([])
    }
  })

  test('lets nothing into the build that it does not copy', () => {
    const sources = new Set(copiesIn(instructions).flatMap(({ from, sources }) => (from === undefined ? sources : [])))
    expect(ignored).toContain('*')
    expect(allowed.filter((path) => !sources.has(path))).toEqual([])
  })

  test('copies between stages only what an earlier stage makes', () => {
    const stages = [...stagesFor('light').keys()]
    for (const { from, sources } of copiesIn(finalStage()).filter((copy) => copy.from !== undefined)) {
      expect(stages).toContain(from)
      expect(['/build/node_modules', '/build/dist']).toContain(sources.join())
    }
  })

  test('holds no secret: nothing is added from elsewhere, no variable is one', () => {
    expect(argumentsOf('ADD')).toEqual([])
    expect(argumentsOf('ARG')).toEqual(['WORKERS=light', 'NODE_IMAGE=node:24-slim'])
    const text = instructions.map(({ args }) => args).join('\n')
    expect(text).not.toMatch(/password|secret|token|\.pem|\.key|\.crt|\.crank\b/i)
  })

  test('sets only variables that the code reads', () => {
    const names = argumentsOf('ENV').flatMap((args) => args.match(/\b[A-Z_]+(?==)/g) ?? [])
    expect(names.filter((name) => name !== 'NODE_ENV' && !(name in ControllerEnv.properties))).toEqual([])
    expect(names).toContain('CRANK_STATE_DIR')
  })

  test('runs scripts that package.json has, and installs exactly the lock file without running its scripts', () => {
    const scripts = npmCommands.flatMap((args) => /^npm run (\S+)/.exec(args)?.[1] ?? [])
    expect(scripts).toEqual(['build'])
    expect(Object.keys(manifest.scripts)).toContain('build')
    const installs = npmCommands.filter((args) => !args.startsWith('npm run '))
    expect(installs.length).toBeGreaterThan(0)
    expect(installs.filter((args) => !/^npm ci .*--ignore-scripts/.test(args))).toEqual([])
  })

  test('starts the crank launcher, as the controller by default', () => {
    const last = (name: string): string[] => execForm(argumentsOf(name).at(-1) ?? '')
    const [shell, ...command] = last('ENTRYPOINT')
    expect({ shell, command }).toEqual({
      shell: '/bin/sh',
      // As the process itself, without core dumps and without a debugger on SIGUSR1.
      command: ['-c', 'ulimit -c 0; exec node --disable-sigusr1 bin/crank.js "$@"', 'crank'],
    })
    expect(last('CMD')).toEqual(['controller'])
    const targets = copiesIn(finalStage()).map(({ target }) => target)
    expect(targets.sort()).toEqual(['./', './bin', './dist', './node_modules', './policies'])
  })

  test('knows every folder with packages of its own before it installs any', () => {
    const sources = copiesIn(stagesFor('light').get('manifests')?.steps ?? []).flatMap((copy) => copy.sources)
    expect(sources).toEqual(['package.json', 'package-lock.json', ...workspaces.map((path) => `${path}/package.json`)])
  })

  test('installs what the controller and the light workers need; with WORKERS=all, what the others need too', () => {
    const flagsOf = (workers: string): string[] => {
      const [install] = argumentsIn(stagesFor(workers).get(`packages-${workers}`)?.steps ?? [], 'RUN')
      expect(install).toMatch(/^npm ci --omit=dev /)
      return install?.split(' ') ?? []
    }
    const light = packagesFor(flagsOf('light'))
    const all = packagesFor(flagsOf('all'))
    expect(light.isSubsetOf(all)).toBe(true)
    const binary = 'node_modules/@img/sharp-linux-x64'
    for (const heavy of [...heavyWorkers.flatMap(ownPackagesOf), binary]) {
      expect({ heavy, light: light.has(heavy), all: all.has(heavy) }).toEqual({ heavy, light: false, all: true })
    }
  })

  test('finds all packages in one folder: beside the workers, where the image has none, npm puts none', () => {
    expect([...packagesFor([])].filter((path) => !path.startsWith('node_modules/'))).toEqual([])
  })

  test('writes to a volume only', () => {
    expect(argumentsOf('VOLUME')).toEqual(['/var/lib/crank'])
    expect(argumentsOf('ENV').join()).toContain('CRANK_STATE_DIR=/var/lib/crank')
  })
})

/** Where the lock file has the packages that a worker's own package.json asks for. */
function ownPackagesOf(workspace: string): string[] {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, workspace, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Object.keys(dependencies).map((name) => `node_modules/${name}`)
}
