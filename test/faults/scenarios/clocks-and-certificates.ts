// The wall clock is set; certificates and CAs change under load, well and badly (F21 to F25).
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { createTestCa, selfSigned, type Issued, type TestCa } from '../../fixtures/pki/ca.ts'
import { writeCredentials } from '../../fixtures/pki/credential-files.ts'
import { STREAMING, TRUST_DOMAIN } from '../../fixtures/parties.ts'
import { copyPolicies } from '../../fixtures/policy-dir.ts'
import { until } from '../../fixtures/until.ts'
import type { Lab } from '../lab.ts'
import { preloaded } from '../preloaded.ts'
import { finding, tally, type Scenario } from '../scenario.ts'

const HOUR_MS = 3_600_000
const EXCEPTED = 'worker/semantic-search'

const clock: Scenario = {
  id: 'F21',
  fault: 'the wall clock is set: + 1 h, - 1 h, + 30 days, and back',
  expected: 'an exception and a certificate end by the wall clock; workers stay live; the step is recorded',
  async run(lab) {
    const nowMs = Date.now()
    const exception = {
      capabilities: ['invoke:hello_world'],
      expires_after: Number(BigInt(nowMs + HOUR_MS / 2) * 1_000_000n),
      reason: 'a test of clocks',
      owner: 'crank',
      created_at: new Date(nowMs - 2 * HOUR_MS).toISOString(),
    }
    const exceptions = JSON.stringify({ [`spiffe://${TRUST_DOMAIN}/${EXCEPTED}`]: exception })
    await using policy = await copyPolicies({ 'data/exceptions.json': exceptions })
    const { env, set } = await preloaded(lab, 'clock', 'FAULTS_CLOCK_FILE')
    const beats = { CRANK_HEARTBEAT_INTERVAL_MS: '60000' }
    await lab.start({ policyDir: policy.dir, env: { ...env, ...beats } })
    await lab.worker()
    const seen: Record<string, string> = {}
    const look = async (name: string, aheadMs: number): Promise<void> => {
      await set(aheadMs)
      await delay(200)
      const [excepted, declared] = [await lab.call({ caller: EXCEPTED }), await lab.call()]
      seen[name] = `${excepted.error ?? excepted.status ?? 'broken'}/${declared.error ?? declared.status ?? 'broken'}`
    }
    await look('now', 0)
    await look('+ 1 h', HOUR_MS)
    await look('- 1 h', -HOUR_MS)
    await look('+ 30 d', 720 * HOUR_MS)
    await look('back', 0)
    const steps = (await lab.recordsOf('state')).records.filter(({ event }) => event === 'clock_stepped')
    const says = Object.entries(seen).map(([name, what]) => `${name} ${what}`)
    return finding(`excepted/declared: ${says.join(', ')}`, `${steps.length} steps recorded`, {
      'the exception holds before its end': seen['now'] === '200/200',
      'it has ended after + 1 h, and the worker is still live': seen['+ 1 h'] === 'capability_access_denied/200',
      'after - 1 h no certificate that is not yet valid is accepted': seen['- 1 h']?.includes('200') === false,
      'after + 30 days no expired certificate is accepted': seen['+ 30 d']?.includes('200') === false,
      'all is as before when the clock is right again': seen['back'] === '200/200',
      'steps are recorded': steps.length > 0,
    })
  },
}

const reloads = (lab: Lab, result: string): Promise<number> =>
  lab.metric('controller_credential_reload_total', `"${result}"`)

async function freshCertificate(lab: Lab, ca: TestCa = lab.parties.ca): Promise<Issued> {
  return ca.issue({ uri: `spiffe://${TRUST_DOMAIN}/controller`, dns: ['localhost'], ips: ['127.0.0.1'] })
}
const place = (lab: Lab): string => join(lab.parties.dir, 'pki')

const rotated: Scenario = {
  id: 'F22',
  fault: 'the controller gets a new certificate again and again under load',
  expected: '0 failed calls',
  async run(lab) {
    await lab.start()
    await lab.worker()
    const rounds = lab.amounts.kills
    const seen = await lab.underLoad(6, async () => {
      for (let round = 0; round < rounds; round++) {
        const before = await reloads(lab, 'ok')
        const issued = await freshCertificate(lab)
        await writeCredentials(place(lab), { name: 'controller', issued, cas: [lab.parties.ca] })
        await until('it is in use', async () => (await reloads(lab, 'ok')) > before)
      }
    })
    const failed = seen.filter(({ status }) => status !== 200).length
    return finding(
      tally(seen.map(({ status, error }) => error ?? status)),
      `${rounds} rotations, ${failed} of ${seen.length} calls failed`,
      {
        'no call fails': failed === 0,
      },
    )
  },
}

const broken: Scenario = {
  id: 'F23',
  fault: 'rotation brings a broken certificate (9 kinds), or takes the files away',
  expected: 'the old one stays in force, an alarm is raised, 0 failed calls; the next good one is used',
  async run(lab) {
    const { ca } = lab.parties
    const good = await freshCertificate(lab)
    const uri = `spiffe://${TRUST_DOMAIN}/controller`
    const other = await createTestCa(TRUST_DOMAIN)
    const dayMs = 24 * HOUR_MS
    const kinds: Record<string, Pick<Issued, 'chainPem' | 'keyPem'>> = {
      empty: { chainPem: '', keyPem: good.keyPem },
      'no PEM': { chainPem: 'this is no certificate', keyPem: good.keyPem },
      'cut PEM': { chainPem: good.chainPem.slice(0, 200), keyPem: good.keyPem },
      'no key': { chainPem: good.chainPem, keyPem: '' },
      "another's key": {
        chainPem: good.chainPem,
        keyPem: (await selfSigned({ uri })).keyPem.replace(/\n.{8}/, '\nAAAAAAAA'),
      },
      expired: await ca.issue({ uri, notBeforeMs: Date.now() - 2 * dayMs, notAfterMs: Date.now() - dayMs }),
      'no SPIFFE ID': await ca.issue({ san: [{ dns: 'localhost' }] }),
      "another's ID": await ca.issue({ uri: `spiffe://${TRUST_DOMAIN}/worker/streaming` }),
      'another CA': await freshCertificate(lab, other),
    }
    await lab.start()
    await lab.worker()
    const unnoticed: string[] = []
    const repair = async (): Promise<void> => {
      const before = await reloads(lab, 'ok')
      await writeCredentials(place(lab), { name: 'controller', issued: await freshCertificate(lab), cas: [ca] })
      await until('the good one is in use', async () => (await reloads(lab, 'ok')) > before)
    }
    const seen = await lab.underLoad(4, async () => {
      for (const [name, issued] of Object.entries(kinds)) {
        const before = await reloads(lab, 'failed')
        await writeCredentials(place(lab), { name: 'controller', issued, cas: [ca] })
        await until('an alarm', async () => (await reloads(lab, 'failed')) > before, 5000).catch(() =>
          unnoticed.push(name),
        )
        // A fault is told once: the next one must not look like the same.
        await repair()
      }
      await rm(join(place(lab), 'controller.crt'))
      await delay(1000)
      await repair()
    })
    const failed = seen.filter(({ status }) => status !== 200).length
    return finding(
      tally(seen.map(({ status }) => status)),
      `${failed} of ${seen.length} calls failed; ${unnoticed.length} of 9 kinds without an alarm`,
      {
        'no call fails': failed === 0,
        [`each kind raises an alarm${unnoticed.length === 0 ? '' : `: not ${unnoticed.join(', ')}`}`]:
          unnoticed.length === 0,
      },
    )
  },
}

const authorities: Scenario = {
  id: 'F24',
  fault: 'a CA is added to the bundle, then removed, with a connection of it open',
  expected: 'both are accepted while both are there; the removed one is refused within 1 s, open connections too',
  async run(lab) {
    const { port } = new URL((await lab.start()).origin)
    const next = await createTestCa(TRUST_DOMAIN)
    const { ca } = lab.parties
    const peer = await next.issue({ uri: `spiffe://${TRUST_DOMAIN}/${STREAMING}` })
    const issued = await lab.parties.identity('controller')
    const bundle = (cas: TestCa[]) => writeCredentials(place(lab), { name: 'controller', issued, cas })
    const open = async () => {
      const tls = { ca: ca.certPem, cert: peer.chainPem, key: peer.keyPem, checkServerIdentity: () => undefined }
      const socket = connect({ host: '127.0.0.1', port: Number(port), ...tls })
      socket.on('error', () => undefined)
      await once(socket, 'secureConnect')
      return socket
    }
    const answer = async (socket: Awaited<ReturnType<typeof open>>): Promise<string> => {
      const data = once(socket, 'data') as Promise<[Buffer]>
      socket.write('GET /capabilities HTTP/1.1\r\nhost: x\r\n\r\n')
      return (await data)[0].toString('latin1').slice(9, 12)
    }
    const before = await answer(await open())
    let changes = await reloads(lab, 'ok')
    await bundle([ca, next])
    await until('the CA is in use', async () => (await reloads(lab, 'ok')) > changes)
    const kept = await open()
    const during = await answer(kept)
    changes = await reloads(lab, 'ok')
    const closed = once(kept.resume(), 'close').then(() => performance.now())
    const startMs = performance.now()
    await bundle([ca])
    const closedMs = Math.round((await closed) - startMs)
    const after = await answer(await open())
    return finding(
      `before ${before}, while there ${during}, after ${after}`,
      `open connection ended after ${closedMs} ms`,
      {
        'it is refused before': before === '401',
        'it is accepted while it is there': during === '200',
        'it is refused after': after === '401',
      },
      { 'its open connection ends within a second': closedMs <= 1000 + lab.noiseMs() },
    )
  },
}

const workloadApi: Scenario = {
  id: 'F25',
  fault: 'the socket of the SPIFFE Workload API is gone or refuses',
  expected: 'tries again after 1 s to 30 s; serves until the certificate ends',
  notShown: 'certificates come from files here, there is no client of the Workload API; F23 takes the files away',
}

export const IDENTITY_SCENARIOS: readonly Scenario[] = [clock, rotated, broken, authorities, workloadApi]
