// The look-up order of native-tools.ts, with stand-ins for the tools and for Go: tiny scripts in folders of their own.
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findTool, pinOf, type Tool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { TOOLS } from '../../scripts/tools/tool-table.ts'
import { until } from '../fixtures/until.ts'

const CLI = join(import.meta.dirname, '../../scripts/tools/native-tools.ts')
const { version } = await pinOf('opa')

let home: string
let bin: string
let cache: string
let lines: string[]

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'native-tools-'))
  bin = join(home, 'bin')
  cache = join(home, '.cache', 'crank')
  lines = []
  await mkdir(bin)
})
afterEach(() => rm(home, { recursive: true, force: true }))

async function program(path: string, body: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, `#!/bin/sh\n${body}\n`)
  await chmod(path, 0o755)
  return path
}

const tool = (path: string, says: string) => program(path, `echo "Version: ${says}"`)

/** A `go` that writes the file behind -o and notes each call and its setting in go.log. */
const fakeGo = (exit = 0, work = ':') =>
  program(
    join(bin, 'go'),
    [
      `echo "$CGO_ENABLED $GOFLAGS $GOWORK $*" >> ${home}/go.log`,
      work,
      'while [ "$1" != "-o" ]; do shift; done',
      `printf '#!/bin/sh\\necho "Version: ${version}"\\n' > "$2"; /bin/chmod 755 "$2"`,
      `[ ${exit} = 0 ] || { echo "no space left" >&2; exit ${exit}; }`,
    ].join('\n'),
  )

const find = (env: NodeJS.ProcessEnv = {}, name: Tool = 'opa') =>
  findTool(name, { env: { HOME: home, PATH: bin, ...env }, log: (line) => lines.push(line) })

const cli = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, [CLI, ...args], { env: { HOME: home, PATH: bin, ...env } })

describe('the pinned version', () => {
  test('is read from the go.mod of the tool', async () => {
    expect(await pinOf('opa')).toMatchObject({ module: 'github.com/open-policy-agent/opa', version: '1.22.2' })
    expect(await pinOf('regal')).toMatchObject({ module: 'github.com/open-policy-agent/regal', version: '0.42.0' })
  })
})

describe('the version that users know', () => {
  test.each([
    ['opa', '1.22.2', '1.22.2'],
    ['kustomize', '5.8.0', '5.8.0'],
    ['jaeger', '1.76.0', '2.13.0'],
    ['prometheus', '0.316.0', '3.16.0'],
    ['promtool', '0.305.1', '3.5.1'],
  ] as const)('of %s v%s is %s', (name, version, release) => {
    expect(TOOLS[name].release(version)).toBe(release)
  })

  test.each([
    ['kustomize', 'v5.8.0', '5.8.0'],
    ['nats-server', 'nats-server: v2.15.2', '2.15.2'],
    ['jaeger', '{"gitCommit":"","gitVersion":"v2.13.0","buildDate":""}', '2.13.0'],
    ['prometheus', 'prometheus, version 3.16.0 (branch: HEAD, revision: x)', '3.16.0'],
    ['promtool', 'promtool, version 3.16.0 (branch: , revision: unknown)', '3.16.0'],
    ['spire-server', '1.13.3', '1.13.3'],
    ['spire-agent', '1.13.3-dev-unk', '1.13.3-dev-unk'],
  ] as const)('is read from what %s says', (name, says, version) => {
    expect(TOOLS[name].ask.answer.exec(says)?.[1]).toBe(version)
  })
})

describe('first, $OPA_BIN', () => {
  test('is taken before the cache and PATH', async () => {
    const named = await tool(join(home, 'mine'), version)
    await tool(join(cache, `opa-${version}`), version)
    await tool(join(bin, 'opa'), version)
    expect(await find({ OPA_BIN: named })).toBe(named)
  })

  test('that is missing is an error that names it', async () => {
    await tool(join(bin, 'opa'), version)
    await expect(find({ OPA_BIN: '/nowhere/opa' })).rejects.toThrow('OPA_BIN=/nowhere/opa is not an executable file')
  })

  test('that is not executable, or a folder, is an error', async () => {
    await writeFile(join(home, 'plain'), 'text')
    await expect(find({ OPA_BIN: join(home, 'plain') })).rejects.toThrow('is not an executable file')
    await expect(find({ OPA_BIN: home })).rejects.toThrow('is not an executable file')
  })

  test('of another version is an error that names both versions', async () => {
    const other = await tool(join(home, 'old'), '1.4.2')
    await expect(find({ OPA_BIN: other })).rejects.toThrow(
      `OPA_BIN=${other} is version 1.4.2, but OPA ${version} is needed`,
    )
  })

  test('that does not say its version is an error', async () => {
    const silent = await program(join(home, 'silent'), 'exit 3')
    await expect(find({ OPA_BIN: silent })).rejects.toThrow('is version unknown')
  })

  test('is $REGAL_BIN for Regal', async () => {
    await expect(find({ REGAL_BIN: '/nowhere/regal' }, 'regal')).rejects.toThrow('REGAL_BIN=/nowhere/regal')
  })

  test('that is empty counts as not set', async () => {
    const cached = await tool(join(cache, `opa-${version}`), version)
    expect(await find({ OPA_BIN: '' })).toBe(cached)
  })
})

describe('second, the cache', () => {
  test('is taken before PATH', async () => {
    const cached = await tool(join(cache, `opa-${version}`), version)
    await tool(join(bin, 'opa'), version)
    expect(await find()).toBe(cached)
  })

  test('is $CRANK_CACHE_DIR, else $XDG_CACHE_HOME/crank, else ~/.cache/crank', async () => {
    const own = await tool(join(home, 'own', `opa-${version}`), version)
    const xdg = await tool(join(home, 'xdg', 'crank', `opa-${version}`), version)
    const plain = await tool(join(cache, `opa-${version}`), version)
    const XDG_CACHE_HOME = join(home, 'xdg')
    expect(await find({ CRANK_CACHE_DIR: join(home, 'own'), XDG_CACHE_HOME })).toBe(own)
    expect(await find({ XDG_CACHE_HOME })).toBe(xdg)
    expect(await find()).toBe(plain)
  })

  test('does not hand out another version', async () => {
    await tool(join(cache, 'opa-1.4.2'), '1.4.2')
    await expect(find()).rejects.toThrow('was not found')
  })
})

describe('third, PATH', () => {
  test('is taken when its version is the pinned one, without a build', async () => {
    await fakeGo()
    const onPath = await tool(join(bin, 'opa'), version)
    expect(await find()).toBe(onPath)
    expect(lines).toEqual([])
  })

  test('is searched further when the first one has another version', async () => {
    await tool(join(bin, 'opa'), '1.4.2')
    const second = await tool(join(home, 'bin2', 'opa'), version)
    expect(await find({ PATH: `${bin}::${join(home, 'bin2')}` })).toBe(second)
  })
})

describe('fourth, a build', () => {
  test('goes into the cache, is announced, and happens once', async () => {
    await fakeGo()
    await tool(join(bin, 'opa'), '1.4.2')
    expect(await find()).toBe(join(cache, `opa-${version}`))
    expect(await find()).toBe(join(cache, `opa-${version}`))
    expect(lines).toEqual([`building opa ${version}, about two minutes, once`])
    expect(await readdir(cache)).toEqual([`opa-${version}`])
  })

  test('is static, without version control stamps, and deaf to the settings of the user', async () => {
    await fakeGo()
    await find({ GOFLAGS: '-mod=mod', GOWORK: '/somewhere/go.work' })
    const log = await readFile(join(home, 'go.log'), 'utf8')
    expect(log).toMatch(/^0 -buildvcs=false off build -mod=readonly .* github\.com\/open-policy-agent\/opa\n$/)
  })

  test('of a tool that is one package of its module has its tags and its version for the linker', async () => {
    await fakeGo()
    await find({}, 'promtool')
    const log = await readFile(join(home, 'go.log'), 'utf8')
    const symbol = 'github.com/prometheus/common/version.Version=3.16.0'
    expect(log).toContain(`build -mod=mod -trimpath -tags remove_all_sd -ldflags -X ${symbol} -o`)
    expect(log).toContain('github.com/prometheus/prometheus/cmd/promtool\n')
    expect(await readdir(cache)).toEqual(['promtool-3.16.0'])
  })

  test('of a tool with C in it gets the compiler; without Go a sentence names both', async () => {
    await fakeGo()
    await find({}, 'spire-server')
    const log = await readFile(join(home, 'go.log'), 'utf8')
    expect(log).toMatch(/^1 -buildvcs=false off build -mod=mod .*\/cmd\/spire-server\n$/)
    await rm(join(bin, 'go'))
    await rm(cache, { recursive: true })
    await expect(find({}, 'spire-server')).rejects.toThrow(/Go >= \S+ and a C compiler .* set SPIRE_SERVER_BIN/)
  })

  test('by three processes at once happens once: the others wait for it and take it', async () => {
    await fakeGo()
    const all = await Promise.all([1, 2, 3].map(() => cli(['opa'])))
    expect(all.map(({ code, stdout }) => [code, stdout])).toEqual(
      all.map(() => [0, `${join(cache, `opa-${version}`)}\n`]),
    )
    expect((await readFile(join(home, 'go.log'), 'utf8')).trim().split('\n')).toHaveLength(1)
    const said = all.map(({ stderr }) => stderr).join('')
    expect(said.match(/^building opa /gm)).toHaveLength(1)
    expect(await readdir(cache)).toEqual([`opa-${version}`])
  })

  test('that another process makes is waited for, and that is announced', async () => {
    await fakeGo(0, `while [ ! -e ${home}/go-on ]; do /bin/sleep 0.02; done`)
    const first = find()
    await until('the first build runs', () => existsSync(join(home, 'go.log')))
    const second = find()
    const waits = `waiting for another process that builds opa ${version}`
    await until('the second one waits', () => lines.includes(waits))
    await writeFile(join(home, 'go-on'), '')
    expect(await Promise.all([first, second])).toEqual([1, 2].map(() => join(cache, `opa-${version}`)))
    expect(lines).toEqual([`building opa ${version}, about two minutes, once`, waits])
  })

  test('that failed is tried again by the process that waited', async () => {
    await fakeGo(1)
    const both = await Promise.allSettled([find(), find()])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect((await readFile(join(home, 'go.log'), 'utf8')).trim().split('\n')).toHaveLength(2)
  })

  test('removes what killed builds left, and nothing that another host may be writing', async () => {
    await fakeGo()
    const left = (name: string) => join(cache, `opa-${version}.${name}`)
    const old = new Date(Date.now() - 2 * 60 * 60_000)
    await mkdir(left(`${hostname()}.tmp.mod`), { recursive: true })
    await writeFile(left(`${hostname()}.tmp`), 'half')
    await writeFile(left('other.tmp'), 'at work')
    await writeFile(left('gone.tmp'), 'half')
    await mkdir(left('gone.tmp.mod'))
    for (const name of ['gone.tmp', 'gone.tmp.mod']) await utimes(left(name), old, old)
    await find()
    expect((await readdir(cache)).sort()).toEqual([`opa-${version}`, `opa-${version}.other.tmp`])
  })

  test("that fails says so with Go's own words and leaves nothing behind", async () => {
    await fakeGo(1)
    await expect(find()).rejects.toThrow(/^building opa .* failed: no space left\ninstall Go/)
    expect(await readdir(cache)).toEqual([])
  })

  test('into a cache folder that cannot be made names the folder', async () => {
    await fakeGo()
    await writeFile(join(home, 'file'), '')
    await expect(find({ CRANK_CACHE_DIR: join(home, 'file', 'x') })).rejects.toThrow('set CRANK_CACHE_DIR')
  })
})

describe('with nothing to be found', () => {
  test('one sentence says what to install', async () => {
    await expect(find()).rejects.toThrow(
      `OPA ${version} was not found: install Go >= 1.26 (it is then built once), or install OPA ${version} and set OPA_BIN to its path`,
    )
  })
})

describe('the command line', () => {
  test('prints the path and nothing else', async () => {
    const named = await tool(join(home, 'mine'), version)
    expect(await cli(['opa'], { OPA_BIN: named })).toEqual({ code: 0, stdout: `${named}\n`, stderr: '' })
  })

  test('exits 1 with the sentence when there is none', async () => {
    const { code, stdout, stderr } = await cli(['regal'])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^Regal .* was not found: install Go .*\n$/)
  })

  test('exits 2 on another name', async () => {
    const { code, stderr } = await cli(['zipkin'])
    expect([code, stderr]).toEqual([
      2,
      'usage: node scripts/tools/native-tools.ts opa|regal|kustomize|jaeger|prometheus|promtool|nats-server|spire-server|spire-agent\n',
    ])
  })
})
