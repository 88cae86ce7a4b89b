// can-i, explain, who-can and what-can as a user runs them: against a controller and against files.
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, POLICY_DIR, type PolicyDir } from '../fixtures/policy-dir.ts'
import { crank } from './in-process.ts'
import { auditText } from '../fixtures/audit-log.ts'

const ID = 'spiffe://crank.local/worker'

let policies: PolicyDir
let mesh: Mesh
beforeAll(async () => {
  policies = await copyPolicies({
    'data/enforcement.json':
      '{ "enforcement": { "default": "enforce", "capabilities": { "store:zettel": "shadow" } } }',
  })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
}, 60_000)
afterAll(async () => {
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

const live = (...args: string[]) =>
  crank(args, { env: { CRANK_ADMIN_URL: mesh.adminOrigin, CRANK_STATE_DIR: mesh.dir } })
const files = (...args: string[]) => crank([...args, '--policy', policies.dir])
const json = ({ stdout }: { stdout: string }) => JSON.parse(stdout) as Record<string, unknown>

describe('can-i', () => {
  test('says yes and exits with 0, by controller and by files', async () => {
    const yes = `yes: ${ID}/streaming may use stream:text_events (declared)\n`
    for (const run of [live, files]) {
      expect(await run('can-i', 'streaming', 'stream', 'text_events')).toEqual({ code: 0, stdout: yes, stderr: '' })
    }
  })

  test('takes verb:name as one word, and so do explain and who-can', async () => {
    expect((await files('can-i', 'streaming', 'stream:text_events')).code).toBe(0)
    const no = await files('can-i', 'streaming', 'convert:document_to_pdf')
    expect(no.stderr).toContain(`crank explain streaming convert document_to_pdf --policy ${policies.dir}`)
    expect((await files('explain', 'streaming', 'stream:text_events')).stdout).toMatch(
      /^allow {2}.*stream:text_events$/m,
    )
    expect((await files('who-can', 'stream:text_events')).stdout).toMatch(/worker\/streaming +allow/)
  })

  test('says which capability was probably meant, and so do explain and who-can', async () => {
    const meant = 'no manifest names invoke:helo_world; did you mean invoke:hello_world?'
    expect((await files('can-i', 'zettel_manager', 'invoke:helo_world')).stderr).toContain(meant)
    expect((await files('explain', 'zettel_manager', 'invoke:helo_world')).stdout).toContain(meant)
    expect((await files('who-can', 'invoke:helo_world')).stderr).toContain(meant)
  })

  test('says no with the reason and exits with 1, by controller and by files', async () => {
    for (const run of [live, files]) {
      const { code, stdout, stderr } = await run('can-i', `${ID}/streaming`, 'convert', 'document_to_pdf')
      expect(code).toBe(1)
      expect(stdout).toBe(`no: Worker ${ID}/streaming not authorized for capability convert:document_to_pdf\n`)
      expect(stderr).toContain(`crank explain ${ID}/streaming convert document_to_pdf`)
    }
  })

  test('gives the same JSON by controller and by files', async () => {
    const args = ['can-i', 'streaming', 'store', 'zettel', '--at', '2026-12-01T00:00:00Z', '-o', 'json']
    const [one, other] = await Promise.all([live(...args), files(...args)])
    expect(json(one)).toMatchObject({ may: true, ruling: 'would_deny', at: '2026-12-01T00:00:00.000Z' })
    expect(json(other)).toEqual(json(one))
  })

  test('says yes to a shadowed denial, and no with --enforced', async () => {
    const passing = await files('can-i', 'streaming', 'store', 'zettel')
    expect(passing).toMatchObject({ code: 0, stdout: expect.stringMatching(/^yes: in shadow mode only: Worker/) })
    const enforced = await files('can-i', 'streaming', 'store', 'zettel', '--enforced')
    expect(enforced).toMatchObject({ code: 1, stdout: expect.stringMatching(/^no: not once enforced: Worker/) })
  })

  test('answers for another time, when an exception was not over', async () => {
    const args = ['can-i', 'legacy-service', 'convert', 'document_to_pdf']
    expect((await files(...args)).code).toBe(1)
    const then = await files(...args, '--at', '2025-12-01')
    expect(then).toMatchObject({ code: 0, stdout: expect.stringContaining(`(exception ${ID}/legacy-service#*)`) })
  })

  test('does not answer from a folder that has lost its block list, and says what to create', async () => {
    await using lossy = await copyPolicies()
    await rm(join(lossy.dir, 'data/blocked.json'))
    const { code, stderr } = await crank(['can-i', 'streaming', 'stream', 'text_events', '--policy', lossy.dir])
    expect(code).toBe(2)
    expect(stderr).toContain('blocked.json: no such file; put it back or, if nothing is blocked, create it')
  })

  test('lists what a folder lacks, a line for each file', async () => {
    await using bare = await copyPolicies()
    await rm(join(bare.dir, 'data'), { recursive: true })
    const { code, stderr } = await crank(['can-i', 'streaming', 'stream', 'text_events', '--policy', bare.dir])
    expect(code).toBe(2)
    const [first, ...files] = stderr.trimEnd().split('\n')
    expect(first).toBe('× --policy cannot be used:')
    const names = ['worker_manifests', 'exceptions', 'enforcement', 'blocked']
    const lines = names.map((name): unknown =>
      expect.stringContaining(`/data/${name}.json: no such file; put it back or`),
    )
    expect(files).toEqual(lines)
  })

  const invalid: Readonly<Record<string, readonly [args: string[], says: string]>> = {
    'a name that is none': [['a b', 'stream', 'text_events'], 'neither a worker nor a SPIFFE ID'],
    'a SPIFFE ID that is none': [['spiffe://crank.local', 'stream', 'text_events'], 'path is missing'],
    'a verb that is none': [['streaming', 'Stream', 'text_events'], 'verb must be a lower-case word'],
    'a capability that is none': [['streaming', 'stream', 'text-events'], 'capability must be a lower-case word'],
    'a time that is none': [['streaming', 'stream', 'text_events', '--at', 'noon'], '--at "noon"'],
    'too few words': [['streaming', 'stream'], "missing required argument 'capability'"],
    'a word too many': [['streaming', 'stream:text_events', 'x'], 'verb must be a lower-case word'],
    'an admin URL that is none': [
      ['streaming', 'stream', 'text_events', '--admin', 'localhost:9001'],
      'CRANK_ADMIN_URL="localhost:9001"',
    ],
    'a folder that is not there': [
      ['streaming', 'stream', 'text_events', '--policy', '/nowhere'],
      '--policy cannot be used: /nowhere: no such folder',
    ],
    'controller and files at once': [
      ['streaming', 'stream', 'text_events', '--policy', POLICY_DIR, '--admin', 'http://127.0.0.1:1'],
      'cannot be used with',
    ],
  }
  for (const [what, [args, says]] of Object.entries(invalid)) {
    test(`exits with 2 for ${what}`, async () => {
      const { code, stdout, stderr } = await live('can-i', ...args)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toContain(says)
    })
  }

  test('exits with 3 where no controller is', async () => {
    const { code, stderr } = await crank(['can-i', 'a', 'b', 'c', '--admin', 'http://127.0.0.1:1'])
    expect(code).toBe(3)
    expect(stderr).toContain('cannot reach the controller at http://127.0.0.1:1: connect ECONNREFUSED')
    expect(stderr).toContain('--policy <dir>')
  })

  test('exits with 3 where the policy engine gives no decision: that is neither yes nor no', async () => {
    const env = { CRANK_POLICY_DIR: policies.dir, OPA_URL: 'http://127.0.0.1:1' }
    const deaf = await startMesh({ env, waitReady: false })
    try {
      const { code, stdout, stderr } = await live(
        'can-i',
        'streaming',
        'stream',
        'text_events',
        '--admin',
        deaf.adminOrigin,
      )
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toMatch(/the policy gave no decision \(policy_\w+\); calls are refused/)
    } finally {
      await deaf.close()
    }
  })
})

describe('explain, asked a question', () => {
  test('names reason, nearest miss, file, path and command', async () => {
    const { code, stdout } = await live('explain', 'streaming', 'stream', 'text_event')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^deny {2}spiffe:\/\/crank.local\/worker\/streaming {2}stream:text_event$/m)
    expect(stdout).toMatch(/^ {2}reason +capability_not_declared: Worker /m)
    expect(stdout).toContain('- the manifest of worker-streaming declares stream:text_events (one letter off)')
    expect(stdout).toContain(
      `${policies.dir}/data/worker_manifests.json  workers["${ID}/streaming"].required_capabilities`,
    )
    expect(stdout).toContain('$ crank manifest generate')
    expect(stdout).toContain(`$ crank exception grant --who ${ID}/streaming --cap stream:text_event --for 14d`)
  })

  test('repeats the folder that it was asked about in the commands that would change the answer', async () => {
    const { stdout } = await files('explain', 'streaming', 'convert', 'document_to_pdf')
    expect(stdout).toMatch(new RegExp(`^ +\\$ crank exception grant .* --policy ${policies.dir}$`, 'm'))
    expect(stdout).toContain(`$ crank manifest generate --out ${policies.dir}/data/worker_manifests.json`)
  })

  test('gives the same JSON by controller and by files', async () => {
    const args = ['explain', 'legacy-service', 'sing', 'aria', '--at', '2026-12-01T00:00:00Z', '-o', 'json']
    const [one, other] = await Promise.all([live(...args), files(...args)])
    expect(json(one)['nearest_misses']).toContain('an exception covered this until 2025-12-31T00:00:00Z (owner crank)')
    // Only the commands differ: they are for the folder that was asked.
    const folder = / --(?:policy|out) [^" ]+(?=")/g
    expect(JSON.parse(other.stdout.replaceAll(folder, ''))).toEqual(json(one))
  })

  test('exits with 2 for what is neither a question nor a decision id', async () => {
    for (const words of [['streaming'], ['streaming', 'stream']]) {
      const { code, stderr } = await live('explain', ...words)
      expect(code).toBe(2)
      expect(stderr).toContain('crank explain <decision-id>')
    }
  })
})

describe('explain, given a decision id', () => {
  let denied: string
  let passed: string
  beforeAll(async () => {
    const idOf = async (verb: string, capability: string) => {
      const { headers } = await mesh.route(STREAMING, { verb, capability })
      return String(headers['x-decision-id'])
    }
    denied = await idOf('convert', 'document_to_pdf')
    passed = await idOf('stream', 'text_events')
    await mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === passed)
  })

  test('shows the record, what the policy says today, and the nearest miss', async () => {
    const { code, stdout } = await live('explain', denied)
    const record = await mesh.auditedAs((line) => line['decision_id'] === denied)
    expect(code).toBe(0)
    for (const fact of [
      `who         ${ID}/streaming`,
      'what        convert:document_to_pdf',
      `when        ${String(record['timestamp'])}`,
      'decision    deny (enforce)',
      'reason      capability_not_declared: Worker',
      `policy      revision ${String(record['policy_revision'])}, version 1.0.0`,
      'engine      opa-wasm',
      `trace       ${String(record['trace_id'])}`,
      `decision id ${denied}`,
      'today       deny, revision',
      'capability known, provided by worker-document-conversion, required by worker-document-conversion',
      '$ crank exception grant',
    ]) {
      expect(stdout).toContain(fact)
    }
  })

  test('shows how an allowed call ended', async () => {
    const { code, stdout } = await live('explain', passed)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}grounds +declared$/m)
    expect(stdout).toMatch(/^ {2}outcome +\w+: status 503, no worker, /m)
  })

  test('says that the outcome is unknown where a crash lost it, and so does verify', async () => {
    const lines = await auditText(mesh.auditLog)
    const at = lines.findIndex((line) => line.includes(passed))
    const crashed = join(mesh.dir, 'crashed.jsonl')
    await writeFile(
      crashed,
      lines
        .slice(0, at + 1)
        .map((line) => `${line}\n`)
        .join(''),
    )
    const { stdout } = await files('explain', passed, '--audit', crashed)
    expect(stdout).toMatch(/^ {2}outcome +unknown: still running, or its record was lost/m)
    const { code, stderr } = await crank(['audit', 'verify', crashed])
    expect([code, stderr]).toEqual([0, expect.stringContaining('calls without an outcome: 1; unknown')])
  })

  test('gives the records as they stand in the log', async () => {
    const body = json(await live('explain', passed, '-o', 'json'))
    expect(body['records']).toEqual((await mesh.audit()).filter((line) => line['decision_id'] === passed))
    expect(body['today']).toMatchObject({ ruling: 'allow' })
  })

  test('reads the log that --audit names, and asks the files that --policy names', async () => {
    const { code, stdout } = await files('explain', denied, '--audit', mesh.auditLog)
    expect(code).toBe(0)
    expect(stdout).toContain(`${policies.dir}/data/worker_manifests.json`)
  })

  test('shows what was recorded also while no controller answers', async () => {
    const env = { CRANK_ADMIN_URL: 'http://127.0.0.1:1', CRANK_STATE_DIR: mesh.dir }
    const { code, stdout, stderr } = await crank(['explain', denied], { env })
    expect(code).toBe(0)
    expect(stdout).toContain('decision    deny (enforce)')
    expect(stdout).not.toContain('nearest miss')
    expect(stderr).toContain('shown as recorded, without the nearest miss: cannot reach the controller')
  })

  test('exits with 1 for a decision that the log does not have, and with 2 without a log', async () => {
    const id = '019aa1c2-7d5e-7b3a-9c55-0d2f6a1b8e44'
    const unknown = await live('explain', id)
    expect(unknown).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining(`no record of decision ${id}`),
    })
    expect((await live('explain', id, '--audit', '/nowhere/audit.jsonl')).code).toBe(2)
  })

  test('does not believe a line that is not a genuine record', async () => {
    const file = join(mesh.dir, 'forged.jsonl')
    const id = '019aa1c2-7d5e-7b3a-9c55-0d2f6a1b8e44'
    await writeFile(file, `{"v":1,"seq":1,"event":"policy_decision","decision_id":"${id}","decision":"allow"}\n`)
    expect((await live('explain', id, '--audit', file)).code).toBe(1)
  })
})

describe('who-can and what-can', () => {
  test('who-can lists those who may, by controller and by files', async () => {
    for (const run of [live, files]) {
      const { code, stdout } = await run('who-can', 'invoke', 'hello_world')
      expect(code).toBe(0)
      expect(stdout.match(/^spiffe:\S+/gm)).toEqual([`${ID}/hello-world`, `${ID}/streaming`])
    }
  })

  test('who-can with --all lists everybody that the data names, with the reason', async () => {
    const { code, stdout } = await files('who-can', 'store', 'zettel', '--all', '--enforced')
    expect(code).toBe(0)
    expect(stdout).toMatch(/worker\/zettel-repository +allow +declared$/m)
    expect(stdout).toMatch(/worker\/streaming +would_deny +capability_not_declared$/m)
    expect(stdout).toMatch(/worker\/legacy-service +would_deny +exception_expired, worker_unknown$/m)
  })

  test('who-can exits with 1 when nobody may', async () => {
    const { code, stdout, stderr } = await files('who-can', 'sing', 'aria')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('no caller may use sing:aria: checked all 10')
  })

  test('what-can lists what somebody may, and who provides it, the same by controller and by files', async () => {
    const [one, other] = await Promise.all([live('what-can', 'streaming'), files('what-can', 'streaming')])
    expect(one.code).toBe(0)
    expect(one.stdout).toMatch(/^invoke:hello_world +allow +worker-hello-world +declared$/m)
    expect(one.stdout).toMatch(/^store:zettel +would_deny +worker-zettel-repository +capability_not_declared$/m)
    expect(other.stdout).toBe(one.stdout)
  })

  test('what-can gives JSON, and exits with 1 when somebody may nothing', async () => {
    const { code, stdout } = await live('what-can', 'stranger', '--enforced', '-o', 'json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ asked: expect.any(Number), answers: [] })
  })

  test('both exit with 2 for invalid input', async () => {
    expect((await files('who-can', 'Sing', 'aria')).code).toBe(2)
    expect((await files('what-can', 'a b')).code).toBe(2)
  })
})
