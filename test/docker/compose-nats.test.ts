// The profile `nats` of docker-compose.policy.yml, and the variables that replace images: by structure, but for NATS, which is
// run with the file's own nats.conf and the SVID that the one-off makes.
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pinOf } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { ControllerEnv, loadControllerConfig } from '../../src/controller/config.ts'
import { parseHostRules } from '../../src/platform/host-rules.ts'
import { parseSvid } from '../../src/platform/svid/x509-svid.ts'
import { until } from '../fixtures/until.ts'
import { ask, killAll, portsOf, startServer, type NatsServer, type Svid } from '../kubernetes/nats-servers.ts'
import { SOON } from '../kubernetes/settings-check.ts'
import { commandOf, compose, environmentOf, imagesIn, mountsOf, ROOT, service, withNats } from './compose.ts'
import { nodeImage } from './dockerfile.ts'

const ADDED = ['controller-2', 'nats', 'nats-init']
const added = (name: string) => service(name, withNats)

describe('the profile', () => {
  test('adds a second controller, NATS, and its one-off', () => {
    const names = Object.keys(withNats.services).filter((name) => !(name in compose.services))
    expect(names.sort()).toEqual(ADDED)
    for (const name of names) expect(added(name).profiles).toEqual(['nats'])
  })

  test('runs with a read-only root, without any privilege and not as root', () => {
    for (const name of ADDED) {
      expect(added(name)).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      })
    }
    expect(added('nats').user).toBe('1000:1000')
  })

  test('NATS has the version that the tests are run with', async () => {
    expect(added('nats').image).toBe(`nats:${(await pinOf('nats-server')).version}-alpine`)
  })

  test('starts in order: keys, NATS, then the second controller', () => {
    expect(added('nats-init').depends_on).toEqual({ pki: { condition: 'service_completed_successfully' } })
    expect(added('nats').depends_on).toEqual({ 'nats-init': { condition: 'service_completed_successfully' } })
    expect(added('controller-2').depends_on).toEqual({
      ...service('controller').depends_on,
      nats: { condition: 'service_healthy' },
    })
  })
})

describe('the second controller', () => {
  test('differs from the first in its address, its ports and its state alone', () => {
    const { environment: first = {}, ...one } = service('controller')
    const { environment: second = {}, ...two } = added('controller-2')
    const differing = Object.keys(two).filter(
      (key) => JSON.stringify(two[key as keyof typeof two]) !== JSON.stringify(one[key as keyof typeof one]),
    )
    expect(differing.sort()).toEqual(['attachments', 'depends_on', 'ports', 'profiles', 'volumes'])
    const names = Object.keys(second).filter((name) => second[name] !== first[name])
    expect(names.sort()).toEqual(['CRANK_ADMIN_ALLOWED_HOSTS', 'CRANK_ADMIN_HOST', 'CRANK_NATS_URL'])
    expect(
      Object.keys(second).filter(
        (name) => !(name in ControllerEnv.properties) && !name.startsWith('OTEL_') && !SOON.includes(name),
      ),
    ).toEqual([])
  })

  test('is published on other ports, the admin one on loopback, and has an address of its own', () => {
    expect(added('controller-2').ports).toEqual(['9002:9000', '127.0.0.1:9003:9001'])
    const env = environmentOf(added('controller-2'))
    for (const name of SOON) Reflect.deleteProperty(env, name)
    const { admin } = loadControllerConfig({ env })
    expect(admin.host).not.toBe(environmentOf(service('controller'))['CRANK_ADMIN_HOST'])
    expect(added('controller-2').attachments?.['admin']).toEqual({ ipv4_address: admin.host, gw_priority: 1 })
    const [range] = withNats.networks['admin']?.ipam?.config ?? []
    expect(parseHostRules(range?.subnet ?? '').allows(admin.host)).toBe(true)
    expect(parseHostRules(range?.ip_range ?? '').allows(admin.host)).toBe(false)
  })

  test('has the same name for the workers, and state that is not shared', () => {
    expect(added('controller-2').attachments?.['crank']).toEqual({ aliases: ['controller'] })
    const stateOf = (name: string): string | undefined =>
      mountsOf(added(name)).find(({ target }) => target === '/var/lib/crank')?.source
    expect([stateOf('controller'), stateOf('controller-2')]).toEqual(['state', 'state-2'])
    const others = (name: string) => mountsOf(added(name)).filter(({ target }) => target !== '/var/lib/crank')
    expect(others('controller-2')).toEqual(others('controller'))
  })
})

describe('who reaches NATS', () => {
  test('is the controllers alone, on a network without a way out', () => {
    const members = Object.entries(withNats.services).filter(([, { networks = [] }]) => networks.includes('store'))
    expect(members.map(([name]) => name).sort()).toEqual(['controller', 'controller-2', 'nats'])
    expect(withNats.networks['store']).toEqual({ name: 'crank-store', internal: true })
    expect(added('nats').networks).toEqual(['store'])
    expect(added('nats').ports).toBeUndefined()
    expect(added('nats-init').network_mode).toBe('none')
  })

  test('is, on the admin network, still nobody but controllers', () => {
    const members = Object.entries(withNats.services).filter(([, { networks = [] }]) => networks.includes('admin'))
    expect(members.map(([name]) => name).sort()).toEqual(['controller', 'controller-2'])
  })
})

describe('NATS, with the SVID of its one-off', () => {
  const config = readFileSync(join(ROOT, 'deploy/compose/nats.conf'), 'utf8')
  let pki: string
  let servers: NatsServer[]
  beforeAll(async () => {
    pki = await mkdtemp(join(tmpdir(), 'compose-nats-'))
    servers = []
  })
  afterAll(async () => {
    await killAll(servers)
    await rm(pki, { recursive: true, force: true })
  })

  /** Runs a one-off as it stands; only the volume's mount point is mapped. */
  async function oneOff(name: string): Promise<void> {
    const { entrypoint, command } = added(name)
    const [shell = '', ...words] = [...commandOf(entrypoint), ...commandOf(command)]
    const script = words.map((word) => word.replaceAll(/(?<!\w)\/pki\//g, `${pki}/`))
    const env = { PATH: `${join(process.execPath, '..')}:/usr/bin:/bin` }
    const { code, stderr } = await run(shell, script, { cwd: ROOT, env })
    expect({ code, stderr }).toMatchObject({ code: 0 })
  }
  const svidOf = (name: string): Svid => {
    const text = (file: string): string => readFileSync(join(pki, name, file), 'utf8')
    const issued = { chainPem: text(`${name}.crt`), keyPem: text(`${name}.key`) } as Svid['issued']
    return { issued, bundlePem: text('crank.local.pem') }
  }

  test('is there after both of them, twice without complaint', async () => {
    await oneOff('pki')
    for (const _ of ['first', 'second']) await oneOff('nats-init')
    expect((await readdir(join(pki, 'nats'))).sort()).toEqual(['crank.local.pem', 'nats.crt', 'nats.key'])
    expect((await stat(join(pki, 'nats/nats.key'))).mode & 0o777).toBe(0o600)
    expect(parseSvid(new X509Certificate(svidOf('nats').issued.chainPem).raw).spiffeId).toBe(
      'spiffe://crank.local/nats',
    )
    const mounted = mountsOf(added('nats')).find(({ target }) => target === '/identity')
    expect(mounted).toEqual({ type: 'volume', source: 'pki', target: '/identity', readOnly: true, subpath: 'nats' })
    const files = [...config.matchAll(/"\/identity\/(.+?)"/g)].map(([, file]) => file)
    expect(files.sort()).toEqual((await readdir(join(pki, 'nats'))).sort())
  })

  test('lets the controller in and no worker, and passes its health check', async () => {
    const [ports] = await portsOf(1)
    if (ports === undefined) throw new Error('no ports')
    const mapped = config
      .replaceAll(/"\/identity\/nats\.crt"/g, '"/svid/svid.pem"')
      .replaceAll(/"\/identity\/nats\.key"/g, '"/svid/key.pem"')
      .replaceAll(/"\/identity\/crank\.local\.pem"/g, '"/svid/bundle.pem"')
      .replace('127.0.0.1:8222', '0.0.0.0:8222')
    servers.push(await startServer(mapped, pki, { name: 'server', ports, svid: svidOf('nats'), all: [] }))
    const checked = new URL(added('nats').healthcheck.test?.at(-1) ?? '')
    expect(checked.host).toBe(/http: "(.+)"/.exec(config)?.[1])
    const isHealthy = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${ports.health}${checked.pathname}`).then(
        ({ ok }) => ok,
        () => false,
      )
    await until('it is healthy', isHealthy)
    expect((await ask(ports.client, svidOf('controller'))).says).toBe('PONG')
    expect((await ask(ports.client, svidOf('worker-streaming'))).says).toBe("-ERR 'Authorization Violation'")
  })

  test('keeps its data on a volume that belongs to its user', () => {
    // nats-init mounts it where our image has a folder of that user: a new volume takes the folder's owner.
    const mountOf = (name: string) => mountsOf(added(name)).find(({ source }) => source === 'nats-data')
    expect([mountOf('nats')?.target, mountOf('nats-init')?.target]).toEqual(['/data', '/var/lib/crank'])
    expect(config).toContain('store_dir: "/data"')
    expect(existsSync(join(ROOT, 'deploy/compose/nats.conf'))).toBe(true)
  })
})

describe('the variables for images', () => {
  const FILES = ['docker-compose.policy.yml', 'docker-compose.observability.yml']
  const images = FILES.flatMap(imagesIn)

  test('are there for every image, one variable for each', () => {
    expect(images.filter((image) => !/^\$\{[A-Z]+_IMAGE:-[\w/.-]+(:[\w.-]+)?\}$/.test(image))).toEqual([])
    const defaults = new Map<string, Set<string>>()
    for (const image of images) {
      const [, name = '', given = ''] = /^\$\{(\w+):-(.+)\}$/.exec(image) ?? []
      defaults.set(name, (defaults.get(name) ?? new Set()).add(given))
    }
    expect([...defaults.values()].filter((values) => values.size > 1)).toEqual([])
    expect(defaults.get('NODE_IMAGE')).toEqual(new Set([nodeImage()]))
  })

  test('are all listed in the documents, with the tag of the default', () => {
    const page = readFileSync(join(ROOT, 'docs/operations/deploy.md'), 'utf8')
    for (const image of new Set(images)) {
      const [, name = '', given = ''] = /^\$\{(\w+):-(.+)\}$/.exec(image) ?? []
      expect(page).toMatch(new RegExp(`^\\| \`${name}\` +\\| \`${given.replaceAll('.', '\\.')}\` +\\|`, 'm'))
    }
  })
})

test('where the subnet is taken, one variable moves everything that names it', () => {
  const text = ['docker-compose.policy.yml', 'docker-compose.observability.yml']
    .map((file) => readFileSync(join(ROOT, file), 'utf8'))
    .join('\n')
    .replaceAll(/^\s*#.*$/gm, '')
  expect(text.replaceAll('${ADMIN_NETWORK:-172.30.90}', '')).not.toContain('172.30.90')
})
