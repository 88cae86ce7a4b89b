import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { workerNames } from '../../src/workers/registry.ts'
import { crank } from './in-process.ts'

let stateDir = ''
beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'crank-cert-'))
})
afterAll(() => rm(stateDir, { recursive: true, force: true }))

const inPki = (file: string) => join(stateDir, 'pki', file)

test('dev-ca makes certificates for controller and workers, keys for nobody else to read', async () => {
  const { code, stdout, stderr } = await crank(['cert', 'dev-ca', '--state-dir', stateDir, '-o', 'json'])
  expect(code).toBe(0)
  expect(stderr).toBe('')
  const { certificates } = JSON.parse(stdout) as { certificates: { name: string }[] }
  expect(certificates.map(({ name }) => name)).toEqual([
    'controller',
    ...workerNames.map((name) => `worker-${name.replaceAll('_', '-')}`),
  ])
  expect(certificates[0]).toEqual({
    name: 'controller',
    cert: inPki('controller.crt'),
    key: inPki('controller.key'),
    bundle: inPki('crank.local.pem'),
  })
  expect((await stat(inPki('controller.key'))).mode & 0o777).toBe(0o600)
})

test('dev-ca prints a plain table where stdout is not a terminal', async () => {
  const { stdout } = await crank(['cert', 'dev-ca', '--state-dir', stateDir])
  expect(stdout.split('\n')[0]).toMatch(/^NAME +CRANK_TLS_CERT +CRANK_TLS_KEY +CRANK_TLS_BUNDLE$/)
  expect(stdout).toContain(inPki('worker-streaming.key'))
})

test('issue writes one more certificate by the same CA', async () => {
  const { code } = await crank(['cert', 'issue', 'email_classifier', '--state-dir', stateDir])
  expect(code).toBe(0)
  const { stdout } = await crank(['cert', 'inspect', inPki('worker-email-classifier.crt'), '-o', 'json'])
  expect(JSON.parse(stdout)).toMatchObject({
    spiffe_id: 'spiffe://crank.local/worker/email-classifier',
    issuer: 'CN=crank.local development CA',
    faults: [],
  })
})

test('issue in another trust domain makes identities of that domain', async () => {
  const other = join(stateDir, 'other')
  await crank(['cert', 'issue', 'controller', '--state-dir', other, '--trust-domain', 'other.example'])
  const { stdout } = await crank(['cert', 'inspect', join(other, 'pki', 'controller.crt')])
  expect(stdout).toMatch(/^spiffe_id +spiffe:\/\/other\.example\/controller$/m)
})

test('issue refuses a name that is not a file name with 2', async () => {
  const { code, stderr } = await crank(['cert', 'issue', '../escape', '--state-dir', stateDir])
  expect(code).toBe(2)
  expect(stderr).toContain('must be controller, nats or worker-<name>')
})

test('issue refuses a trust domain that is none with 2', async () => {
  const { code, stderr } = await crank([
    'cert',
    'issue',
    'controller',
    '--state-dir',
    stateDir,
    '--trust-domain',
    'A B',
  ])
  expect(code).toBe(2)
  expect(stderr).toContain('CRANK_TRUST_DOMAIN="A B"')
})

test('inspect answers a CA, which is not an identity, with 1 and the reason', async () => {
  const { code, stdout } = await crank(['cert', 'inspect', inPki('crank.local.pem')])
  expect(code).toBe(1)
  expect(stdout).toContain('× the URI SAN of the certificate is not a SPIFFE ID')
})

test('inspect refuses a file that holds no certificate with 2', async () => {
  const { code, stderr } = await crank(['cert', 'inspect', inPki('controller.key')])
  expect(code).toBe(2)
  expect(stderr).toContain('cannot be read as a certificate')
})
