// The thread that keeps the segments ships them to NATS with the identity that the process has at that moment, and with the rights
// that the documents give.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startNats } from '../../../scripts/lab/nats-server.ts'
import { segmentsIn } from '../../../src/audit/places.ts'
import { readShipped } from '../../../src/audit/shipped.ts'
import { startKeeper } from '../../../src/controller/audit-keeper/keeper.ts'
import { parseSpiffeId, parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { shippingTarget } from '../../../src/controller/audit-shipping/target.ts'
import { loadCredentials, type Credentials } from '../../../src/platform/tls/credentials.ts'
import { startLogsReceiver } from '../../fixtures/otlp-logs-receiver.ts'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { writeCredentials } from '../../fixtures/pki/credential-files.ts'
import { auditText } from '../../fixtures/audit-log.ts'
import { until } from '../../fixtures/until.ts'
import { crank } from '../../cli/in-process.ts'
import { FROM } from '../audit-shipping/support.ts'
import { isSealed, newest, openLog, outcome, SILENT, temporaryLog } from '../audit/support.ts'

const DOMAIN = 'crank.local'
const NOTHING = { maxAgeMs: undefined, maxBytes: undefined }

type Files = Awaited<ReturnType<typeof writeCredentials>>

/** The lines of the `users` list that an operator copies. */
async function documentedUsers(): Promise<string> {
  const page = await readFile('docs/operations/audit.md', 'utf8')
  const [, users] = /```text\n(\{ user: [^`]+)```/.exec(page) ?? []
  return users ?? expect.unreachable('docs/operations/audit.md has no list of users')
}

/** Certificates of all sides by a new CA, in the place of the ones before. */
async function renew(dir: string): Promise<{ own: Credentials; nats: Files; auditor: Files }> {
  const ca = await createTestCa(DOMAIN)
  const write = async (path: string) =>
    writeCredentials(dir, {
      name: path,
      issued: await ca.issue({ uri: `spiffe://${DOMAIN}/${path}`, dns: ['localhost'], ips: ['127.0.0.1'] }),
      cas: [ca],
    })
  const files = { ...(await write('controller')), trustDomain: parseTrustDomain(DOMAIN) }
  return { own: await loadCredentials(files, Date.now), nats: await write('nats'), auditor: await write('auditor') }
}

test('after the CA and all certificates were replaced, a new connection uses the new ones', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crank-nats-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const first = await renew(dir)
  let current = first.own
  const nats = await startNats({ dir, tls: first.nats, users: [await documentedUsers()] })
  onTestFinished(() => nats[Symbol.asyncDispose]())
  const [server] = nats.servers

  const log = temporaryLog()
  let durable = 0n
  const durableSeq = new SharedArrayBuffer(8)
  const audit = await openLog(log, {
    onHead: ({ seq }) => Atomics.store(new BigUint64Array(durableSeq), 0, (durable = BigInt(seq))),
  })
  const servers = [`127.0.0.1:${server!.port}`]
  const target = { servers, isTls: true, id: parseSpiffeId(`spiffe://${DOMAIN}/nats`), replicas: 1 }
  const keeper = startKeeper({
    data: {
      folder: log,
      slot: 0,
      keep: NOTHING,
      keepOfAll: NOTHING,
      full: 'stop',
      minFree: { bytes: 1 },
      shipping: [{ to: 'nats', target, host: 'test', name: 'test' }],
      durableSeq,
    },
    audit,
    log: SILENT,
    now: Date.now,
    credentials: { current: () => current },
    pauseMs: 10,
  })
  onTestFinished(() => keeper.close())
  const isShipped = (): Promise<void> =>
    until('all is shipped', async () => BigInt((await readShipped(log, 'nats'))?.seq ?? 0) === durable, 30_000)

  await audit.append(outcome('mark-1'))
  await isShipped()
  const { own, auditor } = await renew(dir)
  await server!.signal('SIGKILL')
  await server!.start()
  await audit.append(outcome('mark-2'))
  keeper.wake()
  const lastError = (): string | null | undefined => keeper.report()?.shipping[0]?.lastError
  await until('the old identity is refused', () => {
    keeper.wake()
    return typeof lastError() === 'string'
  })
  current = { ...own, generation: 2 }
  keeper.wake()
  await isShipped()
  expect(durable).toBe(2n)
  const read = await crank(['audit', 'export', '--from', 'nats'], {
    env: {
      CRANK_NATS_URL: nats.url,
      CRANK_TLS_CERT: auditor.certFile,
      CRANK_TLS_KEY: auditor.keyFile,
      CRANK_TLS_BUNDLE: auditor.bundlePath,
    },
  })
  expect(read).toMatchObject({ code: 0, stdout: `${(await auditText(log)).join('\n')}\n` })
})

test('a segment is kept until every target has it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crank-nats-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const nats = await startNats({ dir })
  onTestFinished(() => nats[Symbol.asyncDispose]())
  const [server] = nats.servers
  await server!.signal('SIGKILL')
  const receiver = await startLogsReceiver()
  const { own } = await renew(dir)
  const log = temporaryLog()
  const durableSeq = new SharedArrayBuffer(8)
  const audit = await openLog(log, {
    onHead: ({ seq }) => Atomics.store(new BigUint64Array(durableSeq), 0, BigInt(seq)),
  })
  const stream = {
    servers: [`127.0.0.1:${server!.port}`],
    isTls: false,
    id: parseSpiffeId(`spiffe://${DOMAIN}/nats`),
    replicas: 1,
  }
  const collector = shippingTarget({ OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: receiver.url })!
  const keeper = startKeeper({
    data: {
      folder: log,
      slot: 0,
      keep: { maxAgeMs: undefined, maxBytes: 1 },
      keepOfAll: NOTHING,
      full: 'stop',
      minFree: { bytes: 1 },
      shipping: [
        { to: 'otlp', target: collector, from: FROM },
        { to: 'nats', target: stream, host: 'test', name: 'test' },
      ],
      durableSeq,
    },
    audit,
    log: SILENT,
    now: Date.now,
    // Sent to the thread, and not used: the connection is plain text.
    credentials: { current: () => own },
    pauseMs: 10,
  })
  onTestFinished(() => keeper.close())
  await audit.append(outcome('mark-1'))
  const first = newest(log)
  await audit.rotate()
  await until('the segment is complete', () => isSealed(first))
  const lagOf = (target: string): number | undefined =>
    keeper.report()?.shipping.find((standing) => standing.target === target)?.lagRecords
  await until('the collector has all, and NATS nothing', () => {
    keeper.wake()
    return lagOf('otlp') === 0 && lagOf('nats') === 2
  })
  expect(segmentsIn(log).map(({ firstSeq }) => firstSeq)).toEqual([1, 2])
  await server!.start()
  await until(
    'the first segment is removed',
    () => {
      keeper.wake()
      return segmentsIn(log)[0]?.firstSeq !== 1
    },
    30_000,
  )
})
