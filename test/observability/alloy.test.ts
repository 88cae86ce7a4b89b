// observability/alloy/config.alloy against Alloy's documentation and the rest of the repository, and what it makes of real
// lines. No Alloy runs here.
import { matchesGlob } from 'node:path'
import { Writable } from 'node:stream'
import { beforeAll, describe, expect, test } from 'vitest'
import { SERVICE } from '../../src/controller/main.ts'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { environmentOf, mountsOf, observability, service, together } from '../docker/compose.ts'
import { parseAlloy, type AlloyBlock, type AlloyValue } from '../fixtures/stack/alloy-config.ts'
import { loadAlloyShipper, type AlloyShipper } from '../fixtures/stack/alloy-shipper.ts'
import { readText } from './files.ts'
import { slotOf } from '../fixtures/audit-log.ts'

type Documented = {
  readonly required: readonly string[]
  readonly optional?: readonly string[]
  readonly blocks?: RegExp
}

// grafana.com/docs/alloy: reference/components and reference/config-blocks. Optional arguments are listed if they may be useful.
const DOCUMENTED: Readonly<Record<string, Documented>> = {
  logging: { required: [], optional: ['level', 'format'] },
  'discovery.docker': { required: ['host'], optional: ['refresh_interval'], blocks: /^filter$/ },
  filter: { required: ['name', 'values'] },
  'discovery.relabel': { required: ['targets'], blocks: /^rule$/ },
  rule: { required: [], optional: ['source_labels', 'regex', 'replacement', 'target_label', 'action', 'separator'] },
  'local.file_match': { required: ['path_targets'], optional: ['sync_period'] },
  'loki.source.docker': { required: ['host', 'targets', 'forward_to', 'labels'], optional: ['relabel_rules'] },
  'loki.source.file': { required: ['targets', 'forward_to'], optional: ['tail_from_end'] },
  'loki.process': { required: ['forward_to'], blocks: /^stage\./ },
  'stage.match': { required: ['selector'], optional: ['action'], blocks: /^stage\./ },
  'stage.json': { required: ['expressions'], optional: ['drop_malformed', 'source'] },
  'stage.labels': { required: ['values'] },
  'stage.structured_metadata': { required: ['values'] },
  'stage.timestamp': { required: ['source', 'format'], optional: ['action_on_failure'] },
  'stage.label_drop': { required: ['values'] },
  'loki.write': { required: [], blocks: /^endpoint$/ },
  endpoint: { required: ['url'] },
}
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  'discovery.docker': ['targets'],
  'discovery.relabel': ['output', 'rules'],
  'local.file_match': ['targets'],
  'loki.process': ['receiver'],
  'loki.write': ['receiver'],
}

const blocks = parseAlloy(await readText('observability/alloy/config.alloy'))
const within = (block: AlloyBlock): AlloyBlock[] => [block, ...block.blocks.flatMap(within)]
const all = blocks.flatMap(within)
const find = (name: string): AlloyBlock => {
  const [found, ...others] = all.filter((block) => block.name === name)
  expect({ name, found: found !== undefined, others: others.length }).toEqual({ name, found: true, others: 0 })
  return found!
}

/** References stand unquoted, and come out as their text. */
function references(value: AlloyValue): string[] {
  if (typeof value === 'object') return Object.values(value).flatMap(references)
  return /^(?:discovery|local|loki)(?:\.\w+){3,}$/.test(String(value)) ? [String(value)] : []
}

describe('the file', () => {
  test('has only documented blocks, with every required argument and no unknown one', () => {
    for (const { name, attributes, blocks: inner } of all) {
      const { required = [], optional = [], blocks: allowed = /^$/ } = DOCUMENTED[name] ?? {}
      const given = Object.keys(attributes)
      expect({
        name,
        known: name in DOCUMENTED,
        missing: required.filter((argument) => !given.includes(argument)),
        unknown: given.filter((argument) => ![...required, ...optional].includes(argument)),
        misplaced: inner.filter((block) => !allowed.test(block.name)),
      }).toEqual({ name, known: true, missing: [], unknown: [], misplaced: [] })
    }
  })

  test('refers only to what its components export, and uses each of them', () => {
    const components = blocks.filter(({ name }) => name.includes('.'))
    const exported = components.flatMap(
      ({ name, label }) => EXPORTS[name]?.map((key) => `${name}.${label}.${key}`) ?? [],
    )
    const used = all.flatMap(({ attributes }) => Object.values(attributes).flatMap(references))
    expect(used.filter((reference) => !exported.includes(reference))).toEqual([])
    const unused = components.filter(
      ({ name, label }) => name in EXPORTS && !used.some((to) => to.startsWith(`${name}.${label}.`)),
    )
    expect(unused).toEqual([])
  })

  test('takes the containers of this project only', () => {
    expect(find('filter').attributes).toEqual({
      name: 'label',
      values: [`com.docker.compose.project=${together.name}`],
    })
  })

  test('finds the Docker socket and the audit log where they are mounted, read-only', () => {
    const mounts = mountsOf(service('alloy', together))
    const socket = mounts.find(({ source }) => source === '/var/run/docker.sock')
    expect(socket?.readOnly).toBe(true)
    for (const name of ['discovery.docker', 'loki.source.docker'])
      expect(find(name).attributes['host']).toBe(`unix://${socket?.target}`)

    const { stateDir } = loadControllerConfig({ env: environmentOf(service('controller')) })
    const [target] = find('local.file_match').attributes['path_targets'] as { __path__: string }[]
    const isRead = (file: string): boolean => matchesGlob(file, target?.__path__ ?? '')
    const log = slotOf(stateDir, 0)
    const others = [`${log}.lock`, `${log}.1`, `${stateDir}/idempotency.sqlite`]
    expect([log, slotOf(stateDir, 12), ...others].map(isRead)).toEqual([true, true, false, false, false])
    const state = mounts.find(({ source }) => source === 'state')
    expect(state?.readOnly).toBe(true)
    expect(mountsOf(service('controller'))).toContainEqual({ ...state, subpath: undefined, readOnly: false })
  })

  test('writes to the Loki of the stack', () => {
    const { host, pathname } = new URL(find('endpoint').attributes['url'] as string)
    expect([host, pathname]).toEqual(['loki:3100', '/loki/api/v1/push'])
    expect(observability.services['loki']?.ports).toEqual(['127.0.0.1:3100:3100'])
  })
})

describe('labels and metadata', () => {
  let alloy: AlloyShipper
  beforeAll(async () => {
    alloy = await loadAlloyShipper()
  })

  const ids = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331', decision_id: 'd-1' }

  function logged(serviceName: string): string {
    let line = ''
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        line += chunk.toString('utf8')
        done()
      },
    })
    createLogger({ level: 'info', service: serviceName, destination }).warn({ event: 'x', ...ids }, 'said')
    return line.trim()
  }

  test("a line of a process of ours has the process's own name, its level, its ids and its time", () => {
    const names = { controller: SERVICE, 'worker-streaming': 'crank-worker-streaming' }
    for (const [composeService, name] of Object.entries(names)) {
      const line = logged(name)
      const { time } = JSON.parse(line) as { time: string }
      expect(alloy.fromContainer(composeService, line)).toEqual({
        labels: { service_name: name, stream: 'log', level: 'warn' },
        metadata: ids,
        timestampNs: BigInt(Date.parse(time)) * 1_000_000n,
        line,
      })
    }
  })

  test('a line of theirs that is not JSON has the same name', () => {
    const streamOf = (composeService: string) => alloy.fromContainer(composeService, '    at main.js:1').labels
    expect(streamOf('controller')).toEqual({ service_name: SERVICE, stream: 'log' })
    expect(streamOf('worker-hello-world')).toEqual({ service_name: 'crank-worker-hello-world', stream: 'log' })
  })

  test("a decision of OPA's carries the controller's decision id, and OPA's own beside it", () => {
    const line = JSON.stringify({
      ...ids,
      decision_id: 'of-opa',
      input: { context: { decision_id: ids.decision_id } },
      level: 'info',
      timestamp: '2026-11-24T08:44:02.875301418Z',
    })
    expect(alloy.fromContainer('opa', line)).toEqual({
      labels: { service_name: 'opa', stream: 'log', level: 'info' },
      metadata: { ...ids, opa_decision_id: 'of-opa' },
      timestampNs: BigInt(Date.parse('2026-11-24T08:44:02Z')) * 1_000_000n + 875_301_418n,
      line,
    })
  })

  test('an audit record has its event as a label, in a stream of its own', () => {
    const line = JSON.stringify({ v: 1, event: 'policy_decision', timestamp: '2026-11-24T08:44:02.875Z', ...ids })
    expect(alloy.fromAuditFile(line)).toEqual({
      labels: { service_name: SERVICE, stream: 'audit', event: 'policy_decision' },
      metadata: ids,
      timestampNs: BigInt(Date.parse('2026-11-24T08:44:02.875Z')) * 1_000_000n,
      line,
    })
  })

  test('what a record does not have is left out', () => {
    const record = { event: 'identity_refused', timestamp: '2026-11-24T08:44:02Z', decision_id: null, trace_id: null }
    expect(alloy.fromAuditFile(JSON.stringify(record)).metadata).toEqual({})
  })

  test('other containers keep their name and their lines, whatever those look like', () => {
    const line = JSON.stringify({ service: SERVICE, level: 'info', trace_id: 'x' })
    const { labels, metadata } = alloy.fromContainer('jaeger', line)
    expect({ labels, metadata }).toEqual({ labels: { service_name: 'jaeger', stream: 'log' }, metadata: {} })
  })
})
