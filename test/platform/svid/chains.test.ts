// Paths that OpenSSL or our own walk used to miss, on real handshakes: what is accepted now, that a forged sibling of it is not,
// and what the refusal of those says that OpenSSL still misses.
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { Credentials } from '../../../src/platform/tls/credentials.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import { createPinnedConnector } from '../../../src/platform/tls/tls.ts'
import {
  createKeys,
  createTestCa,
  rawExtension,
  type Issued,
  type IssueOptions,
  type TestCa,
} from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'
import { tlv } from '../../fixtures/pki/der.ts'
import { createLiveSource } from '../../fixtures/pki/live-source.ts'
import { startPeerServer } from '../../fixtures/pki/tls-peers.ts'

const TD = 'td1.test'
const ID = 'spiffe://td1.test/worker/a'
const HOUR_MS = 3_600_000
const ended = (): IssueOptions => ({ notBeforeMs: Date.now() - 2 * HOUR_MS, notAfterMs: Date.now() - HOUR_MS })

let own: TestCa
beforeAll(async () => {
  own = await createTestCa('own.test')
})

type Judged = { readonly id: string; readonly reason: string }

function judged(verify: () => { spiffeId: string }): Judged {
  try {
    return { id: verify().spiffeId, reason: '' }
  } catch (error: unknown) {
    const { code, message } = error as AppError
    return { id: code, reason: message }
  }
}

/** A controller of another trust domain that trusts these CAs for td1.test: how it judges a caller that shows this. */
async function incoming(bundle: readonly TestCa[], issued: Issued, ...sent: TestCa[]): Promise<Judged> {
  return judgedBy(await credentialsFor(own, 'spiffe://own.test/controller', ...bundle), issued, ...sent)
}

async function judgedBy(credentials: Credentials, issued: Issued, ...sent: TestCa[]): Promise<Judged> {
  await using server = await startPeerServer(credentials)
  const socket = await server.accept(showing(issued, sent))
  return judged(() => createPeerVerifier({ now: Date.now }).verify(socket, credentials))
}

/** The same towards a worker. */
async function outgoing(bundle: readonly TestCa[], issued: Issued, ...sent: TestCa[]): Promise<Judged> {
  const { chainPem: cert, keyPem: key } = showing(issued, sent)
  const worker = createHttpsServer({ cert, key }).listen(0, '127.0.0.1')
  await once(worker, 'listening')
  onTestFinished(() => void worker.close())
  const source = createLiveSource(await credentialsFor(own, 'spiffe://own.test/controller', ...bundle))
  const verifier = createPeerVerifier({ now: Date.now })
  const connect = createPinnedConnector({ source, verifier, expected: parseSpiffeId(ID) })
  const { port } = worker.address() as AddressInfo
  const target = { hostname: '127.0.0.1', protocol: 'https:', port: String(port) }
  return new Promise((resolve) => {
    connect(target, (error, socket) => {
      if (error !== null) resolve({ id: (error as { kind?: string }).kind ?? error.name, reason: error.message })
      else {
        resolve(judged(() => verifier.verify(socket as TLSSocket, source.current())))
        socket.destroy()
      }
    })
  })
}

function showing(issued: Issued, sent: readonly TestCa[]): Issued {
  return { ...issued, chainPem: issued.certPem + sent.map(({ certPem }) => certPem).join('') }
}

/** The same CA as it looks from outside, with another key. */
function forged(subject: string, options: IssueOptions = {}): Promise<TestCa> {
  return createTestCa(TD, { subject, ...options })
}

const leafOf = (ca: TestCa, options: IssueOptions = {}): Promise<Issued> => ca.issue({ uri: ID, ...options })
const accepted = { id: ID, reason: '' }
const untrusted = { id: 'client_certificate_untrusted' }

describe('an anchor that is not a root', () => {
  test('is an anchor all the same, in both directions', async () => {
    const root = await createTestCa(TD, { subject: 'CN=root' })
    const issuing = await root.intermediate({ subject: 'CN=issuing' })
    const leaf = await leafOf(issuing)
    expect(await incoming([issuing], leaf)).toEqual(accepted)
    expect(await incoming([issuing], leaf, issuing)).toEqual(accepted)
    expect(await outgoing([issuing], leaf, issuing)).toEqual(accepted)
    // Its issuer is not in the bundle, and neither is another CA of its name.
    expect(await incoming([issuing], await leafOf(root))).toMatchObject(untrusted)
    expect(await incoming([issuing], await leafOf(await forged('CN=issuing')))).toMatchObject(untrusted)
    expect(await outgoing([issuing], await leafOf(await forged('CN=issuing')))).toMatchObject({ id: 'tls' })
    expect(await outgoing([issuing], await leafOf(root), root)).toMatchObject({ id: 'tls' })
  })

  test('outlives the root that issued it', async () => {
    const root = await createTestCa(TD, { subject: 'CN=old root', ...ended() })
    const issuing = await root.intermediate({ subject: 'CN=issuing' })
    expect(await incoming([root, issuing], await leafOf(issuing), issuing)).toEqual(accepted)
    expect(await outgoing([root, issuing], await leafOf(issuing), issuing)).toEqual(accepted)
    const refused = await incoming([root, issuing], await leafOf(root))
    expect(refused.id).toBe('client_certificate_expired')
    expect(refused.reason).toContain('the root "CN=old root" ended at ')
  })

  test('keeps to the limits of a root that stands beside it in the bundle', async () => {
    const elsewhere = await createTestCa(TD, { extensions: [permitting(uri('elsewhere.test'))] })
    const narrow = await elsewhere.intermediate()
    expect(await incoming([elsewhere, narrow], await leafOf(narrow), narrow)).toMatchObject(untrusted)
    const shallow = await createTestCa(TD, { pathLength: 0 })
    const below = await shallow.intermediate()
    expect(await incoming([shallow, below], await leafOf(below), below)).toMatchObject(untrusted)
    const wide = await createTestCa(TD, { extensions: [permitting(uri(TD))] })
    const fitting = await wide.intermediate()
    expect(await incoming([wide, fitting], await leafOf(fitting), fitting)).toEqual(accepted)
  })
})

type RollOver = { readonly old: TestCa; readonly fresh: TestCa; readonly link: TestCa }

/** A CA `new` with both of its forms: its own root, and the same key vouched for by the CA before it. */
async function rollOver(): Promise<RollOver> {
  const old = await createTestCa(TD, { subject: 'CN=old' })
  const names = { subject: 'CN=new', keys: await createKeys() }
  return { old, fresh: await createTestCa(TD, names), link: await old.intermediate(names) }
}

describe('a CA that is rolled over with both forms', () => {
  test('is accepted below either root, whichever form is in the bundle', async () => {
    const { old, fresh, link } = await rollOver()
    const leaf = await leafOf(fresh)
    for (const bundle of [[old], [fresh], [link], [link, fresh], [fresh, link], [old, link]]) {
      expect(await incoming(bundle, leaf, link, fresh)).toEqual(accepted)
      expect(await outgoing(bundle, leaf, link, fresh)).toEqual(accepted)
    }
    for (const bundle of [[link], [link, fresh], [fresh, link], [old, link]]) {
      expect(await incoming(bundle, leaf)).toEqual(accepted)
    }
    const impostor = await forged('CN=new')
    for (const bundle of [[old], [link], [fresh, link]]) {
      expect(await incoming(bundle, await leafOf(impostor), link, fresh)).toMatchObject(untrusted)
      expect(await incoming(bundle, await leafOf(impostor), impostor)).toMatchObject(untrusted)
    }
  })

  test('is refused with the order that works, when OpenSSL is sent the wrong form first', async () => {
    const { old, fresh, link } = await rollOver()
    const leaf = await leafOf(fresh)
    const reason =
      'it chains to its bundle, but OpenSSL took another path: send the leaf, then "CN=new" issued by "CN=old", and nothing else'
    expect(await incoming([old], leaf, fresh, link)).toEqual({
      id: 'client_certificate_untrusted',
      reason: `the certificate is refused: ${reason}`,
    })
    const refused = await outgoing([old], leaf, fresh, link)
    expect(refused).toEqual({ id: 'tls', reason: expect.stringContaining(reason) as string })
    expect(await incoming([old], leaf, link)).toEqual(accepted)
  })

  test('may keep its name: the link between its two keys does not count for the path length', async () => {
    const names = { subject: 'CN=one name', keys: await createKeys() }
    const before = await createTestCa(TD, { subject: 'CN=one name', pathLength: 0 })
    const after = await createTestCa(TD, names)
    const link = await before.intermediate(names)
    expect(await incoming([before], await leafOf(after), link)).toEqual(accepted)
    const impostor = await forged('CN=one name')
    expect(await incoming([before], await leafOf(impostor), link)).toMatchObject(untrusted)
    // Another name counts.
    const other = await before.intermediate({ subject: 'CN=other' })
    expect(await incoming([before], await leafOf(other), other)).toMatchObject(untrusted)
  })
})

describe('an intermediate that two roots have signed', () => {
  test('is accepted below either, when the half that fits is sent first, and the refusal says so otherwise', async () => {
    const [one, two] = [await createTestCa(TD, { subject: 'CN=one' }), await createTestCa(TD, { subject: 'CN=two' })]
    const names = { subject: 'CN=shared', keys: await createKeys() }
    const [ofOne, ofTwo] = [await one.intermediate(names), await two.intermediate(names)]
    const leaf = await leafOf(ofOne)
    expect(await incoming([one, two], leaf, ofTwo, ofOne)).toEqual(accepted)
    expect(await incoming([two], leaf, ofTwo, ofOne)).toEqual(accepted)
    const refused = await incoming([two], leaf, ofOne, ofTwo)
    expect(refused.id).toBe('client_certificate_untrusted')
    expect(refused.reason).toContain('send the leaf, then "CN=shared" issued by "CN=two", and nothing else')
    const impostor = await forged('CN=shared')
    expect(await incoming([two], await leafOf(impostor), ofTwo)).toMatchObject(untrusted)
    // The half of a root that is not in the bundle is not a path, and is not talked about.
    expect(await incoming([two], leaf, ofOne)).toEqual({
      id: 'client_certificate_untrusted',
      reason: 'the certificate does not chain to the bundle of its trust domain',
    })
  })
})

describe('roots of one name without key identifiers', () => {
  test('OpenSSL tries the newest only: its leaves pass, those of the others are told why not', async () => {
    const names = { subject: 'CN=same', noKeyIds: true }
    const newest = await createTestCa(TD, names)
    const older = await createTestCa(TD, { ...names, notBeforeMs: Date.now() - HOUR_MS })
    for (const bundle of [
      [older, newest],
      [newest, older],
    ]) {
      expect(await incoming(bundle, await leafOf(newest, { noKeyIds: true }))).toEqual(accepted)
      const refused = await incoming(bundle, await leafOf(older, { noKeyIds: true }))
      expect(refused.id).toBe('client_certificate_untrusted')
      expect(refused.reason).toContain(
        'OpenSSL tried another CA of the same name: give the CAs named "CN=same" key identifiers',
      )
      const impostor = await createTestCa(TD, names)
      expect(await incoming(bundle, await leafOf(impostor, { noKeyIds: true }))).toEqual({
        id: 'client_certificate_untrusted',
        reason: 'the certificate does not chain to the bundle of its trust domain',
      })
    }
    expect(await incoming([older], await leafOf(older, { noKeyIds: true }))).toEqual(accepted)
  })

  test('with key identifiers every one is found', async () => {
    const [one, two] = [await forged('CN=same'), await forged('CN=same')]
    for (const ca of [one, two]) expect(await incoming([one, two], await leafOf(ca))).toEqual(accepted)
  })
})

const uri = (host: string): Buffer => tlv(0x86, Buffer.from(host))
const constraints = (side: number, ...bases: Buffer[]) =>
  rawExtension('2.5.29.30', true, tlv(0x30, tlv(side, Buffer.concat(bases.map((base) => tlv(0x30, base))))))
const permitting = (...bases: Buffer[]) => constraints(0xa0, ...bases)
const excluding = (...bases: Buffer[]) => constraints(0xa1, ...bases)

describe('name constraints of an intermediate', () => {
  const ip = (...bytes: number[]): Buffer => tlv(0x87, Buffer.from(bytes))
  const dns = (name: string): Buffer => tlv(0x82, Buffer.from(name))
  const withHost: IssueOptions = { dns: ['a.mesh.test'], ips: ['127.0.0.1'] }

  test.each<[string, ReturnType<typeof permitting>, IssueOptions]>([
    ['that permit its trust domain', permitting(uri(TD)), {}],
    ['that permit it among others', permitting(uri('other.test'), uri(TD)), {}],
    ['that permit what is below its parent', permitting(uri('.test')), {}],
    ['that exclude another trust domain', excluding(uri('other.test')), {}],
    ['that speak of host names only, and there are none', permitting(dns('mesh.test')), {}],
    ['that permit all of its names', permitting(uri(TD), dns('mesh.test'), ip(127, 0, 0, 0, 255, 0, 0, 0)), withHost],
  ])('%s let a leaf pass, with two trust domains as with one', async (_name, extension, options) => {
    const root = await createTestCa(TD)
    const limited = await root.intermediate({ extensions: [extension] })
    const leaf = await leafOf(limited, options)
    expect(await incoming([root], leaf, limited)).toEqual(accepted)
    const alone = await credentialsFor(root, 'spiffe://td1.test/controller')
    expect(await judgedBy(alone, leaf, limited)).toEqual(accepted)
    const impostor = await forged('CN=limited', { extensions: [extension] })
    expect(await incoming([root], await leafOf(impostor, options), impostor)).toMatchObject(untrusted)
  })

  test.each<[string, ReturnType<typeof permitting>, IssueOptions]>([
    ['permit another trust domain', permitting(uri('other.test')), {}],
    ['permit only what is below its trust domain', permitting(uri(`.${TD}`)), {}],
    ['permit the parent of its trust domain, which is another host', permitting(uri('test')), {}],
    ['permit no URI', permitting(uri('')), {}],
    ['permit a SPIFFE ID in place of a host', permitting(uri(`spiffe://${TD}`)), {}],
    ['exclude its trust domain', excluding(uri(TD)), {}],
    ['exclude everything below its parent', excluding(uri('.test')), {}],
    ['permit other host names', permitting(uri(TD), dns('other.test')), withHost],
    ['exclude its host name', excluding(dns('mesh.test')), withHost],
    ['permit other addresses', permitting(ip(10, 0, 0, 0, 255, 0, 0, 0)), withHost],
    ['permit another subject', permitting(tlv(0xa4, Buffer.from('300c310a300806035504030c0178', 'hex'))), {}],
  ])('that %s refuse a leaf, with two trust domains as with one', async (_name, extension, options) => {
    const root = await createTestCa(TD)
    const limited = await root.intermediate({ uri: '', san: [], extensions: [extension] })
    const leaf = await leafOf(limited, options)
    expect(await incoming([root], leaf, limited)).toMatchObject(untrusted)
    const alone = await credentialsFor(root, 'spiffe://td1.test/controller')
    expect(await judgedBy(alone, leaf, limited)).toMatchObject(untrusted)
  })

  test('hold for every path: a half without constraints does not help one whose path has them', async () => {
    const [open, strict] = [await createTestCa('td2.test'), await createTestCa(TD)]
    const names = { subject: 'CN=shared', keys: await createKeys() }
    const ofOpen = await open.intermediate({ ...names, uri: '', san: [] })
    const ofStrict = await strict.intermediate({ ...names, san: [], extensions: [permitting(uri('other.test'))] })
    const leaf = await leafOf(ofOpen)
    // OpenSSL is content with the half of td2, which says nothing about td1's names.
    expect(await incoming([open, strict], leaf, ofOpen, ofStrict)).toMatchObject(untrusted)
    expect(await incoming([open, strict], leaf, ofStrict, ofOpen)).toMatchObject(untrusted)
  })
})

describe('a certificate that has expired', () => {
  test('is named: the leaf, the intermediate or the root', async () => {
    const root = await createTestCa(TD, { subject: 'CN=root' })
    const intermediate = await root.intermediate({ subject: 'CN=issuing', ...ended() })
    const oldRoot = await createTestCa(TD, { subject: 'CN=old root', ...ended() })
    const bundle = [root, oldRoot]
    const expired = (which: string) => ({
      id: 'client_certificate_expired',
      reason: expect.stringMatching(`^the certificate has expired: ${which} ended at 20..-..-..T..:..:..Z$`) as string,
    })
    expect(await incoming(bundle, await leafOf(root, ended()))).toEqual(expired('the leaf'))
    expect(await incoming(bundle, await leafOf(intermediate), intermediate)).toEqual(
      expired('the intermediate "CN=issuing"'),
    )
    expect(await incoming(bundle, await leafOf(oldRoot))).toEqual(expired('the root "CN=old root"'))
    expect(await outgoing(bundle, await leafOf(oldRoot))).toMatchObject({
      id: 'tls',
      reason: expect.stringContaining('the certificate has expired: the root "CN=old root"') as string,
    })
  })

  test('is not named to a stranger who only uses the name of its issuer', async () => {
    const root = await createTestCa(TD, { subject: 'CN=old root', ...ended() })
    expect(await incoming([root], await leafOf(await forged('CN=old root', ended())))).toEqual({
      id: 'client_certificate_untrusted',
      reason: 'the certificate does not chain to the bundle of its trust domain',
    })
  })

  test('is shown on one line, whatever is in its name', async () => {
    const root = await createTestCa(TD, { subject: 'CN=a"b\u001b[31m\u202ec, O=x', ...ended() })
    const { reason } = await incoming([root], await leafOf(root))
    expect(reason).toMatch(/^the certificate has expired: the root "[\x20-\x7e]+" ended at [0-9TZ:-]+$/)
    expect(reason.match(/"/g)).toHaveLength(2)
  })
})
