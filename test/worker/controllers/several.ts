// Several controllers, each behind a link with faults, and clients that have all of them. Real mTLS; what a controller answers is
// its script.
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { startFaultProxy, type FaultProxy } from '../../../scripts/lab/fault-proxy.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { RouteBody } from '../../../src/core/wire.ts'
import type { HostLookupOptions } from '../../../src/platform/host-lookup.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import { loadCredentials } from '../../../src/platform/tls/credentials.ts'
import { createControllerClient, type ControllerClient } from '../../../src/worker/controller-client.ts'
import type { ControllerChange } from '../../../src/worker/controllers/endpoint-health.ts'
import {
  answerJson,
  startFakeController,
  type FakeController,
  type Received,
  type Script,
} from '../../../src/worker/testing/fake-controller.ts'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { issueTo, tempDir } from '../../fixtures/pki/credential-files.ts'
import { createLiveSource, type LiveSource } from '../../fixtures/pki/live-source.ts'

export const CONTROLLER_ID = 'spiffe://crank.local/controller'
export const HELLO: RouteBody = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }

/** A controller and the link to it. `url`: of the link. */
export type Linked = {
  readonly url: string
  readonly fake: FakeController
  readonly link: FaultProxy
  /** Calls that arrived. */
  readonly routed: () => Received[]
  /** Replaces its answer to each call. */
  readonly answers: (script: Script | undefined) => void
}

export type Several = {
  readonly start: (options?: { as?: string; host?: string; port?: number }) => Promise<Linked>
  /** A server that accepts connections and closes each of them. */
  readonly startClosing: () => Promise<string>
  readonly client: (urls: readonly string[], options?: ClientOptions) => Client
  readonly source: LiveSource
  /** Other credentials of the same caller. */
  readonly otherCredentials: () => ReturnType<typeof loadCredentials>
  readonly close: () => Promise<void>
}

type ClientOptions = { readonly lookup?: HostLookupOptions['lookup']; readonly monotonic?: () => number }

export type Client = ControllerClient & {
  readonly changes: ControllerChange[]
  /** Calls, reads the answer, and returns the name of the controller with it. */
  readonly call: (
    body?: Partial<RouteBody>,
    signal?: AbortSignal,
  ) => Promise<{ by: string; status: number; text: string }>
}

export const refusal =
  (status: number, error: string, headers: Record<string, string> = {}): Script =>
  (_call, response) =>
    answerJson(response, status, { error, reason: error }, headers)

export async function openSeveral(): Promise<Several> {
  const opened = new AsyncDisposableStack()
  const dir = opened.adopt(await tempDir(), (one) => one[Symbol.asyncDispose]())
  const ca = await createTestCa('crank.local')
  const issue = (name: string) => issueTo(dir.path, ca, name.replaceAll('/', '-'), `spiffe://crank.local/${name}`)
  const ownCredentials = async () => loadCredentials(await issue('worker/caller'), Date.now)
  const source = createLiveSource(await ownCredentials())
  const verifier = createPeerVerifier({ now: Date.now })

  return {
    source,
    otherCredentials: ownCredentials,
    async start({ as = 'controller', host, port } = {}) {
      const at = { ...(host !== undefined && { host }), ...(port !== undefined && { port }) }
      const fake = await startFakeController(await issue(as), 20, at)
      opened.defer(() => fake.close())
      const { hostname, port: own } = new URL(fake.url)
      const link = await startFaultProxy({ host: hostname, port: Number(own) }, { seed: 1, random: Math.random })
      opened.defer(() => link.close())
      const answers = (script: Script | undefined): void => fake.script('/route/', script)
      answers((_call, response) => answerJson(response, 200, { greeting: 'hi' }))
      const routed = () => fake.received.filter(({ path }) => path.startsWith('/route/'))
      return { url: `https://127.0.0.1:${link.port}`, fake, link, routed, answers }
    },
    async startClosing() {
      const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
      await once(server, 'listening')
      opened.defer(() => void server.close())
      return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    client(urls, options = {}) {
      const changes: ControllerChange[] = []
      const client = createControllerClient({
        controllerUrls: urls,
        controllerId: parseSpiffeId(CONTROLLER_ID),
        source,
        verifier,
        report: (change) => void changes.push(change),
        random: () => 0,
        ...options,
      })
      opened.defer(() => client.close())
      const call: Client['call'] = async (body = {}, signal = new AbortController().signal) => {
        const { controller, status, body: answer } = await client.route({ ...HELLO, ...body }, { signal })
        return { by: controller.name, status, text: await text(answer) }
      }
      return { ...client, changes, call }
    },
    close: () => opened.disposeAsync(),
  }
}

/** `count` calls, one after the other. Returns how many each controller has answered. */
export async function callsOneByOne(
  { call }: Client,
  count: number,
  body: Partial<RouteBody> = {},
): Promise<Record<string, number>> {
  const by: Record<string, number> = {}
  for (let made = 0; made < count; made++) {
    const answer = await call(body)
    if (answer.status !== 200) throw new Error(`a call got ${answer.status}: ${answer.text}`)
    by[answer.by] = (by[answer.by] ?? 0) + 1
  }
  return by
}

/** The controllers that were avoided, each with the first reason. A look may fail in another way than the call before it. */
export function avoidedOf({ changes }: Client): Record<string, string> {
  const avoided = changes.flatMap((one) => (one.change === 'avoided' ? [[one.controller, one.reason] as const] : []))
  return Object.fromEntries(avoided.toReversed())
}
