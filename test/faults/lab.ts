// What a scenario works with: a controller as a process of its own, workers and callers that note what they see, links with
// faults. Everything it opens is closed at its end.
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { startFaultProxy, type FaultProxy } from '../../scripts/lab/fault-proxy.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { seeded } from '../fixtures/seeded.ts'
import { readRecords, readWorkerLog, sizesOf, verifyChains } from './evidence.ts'
import type { Execution, History, Told } from './history.ts'
import { checkHistory, type Violation } from './history-checker.ts'
import { createKnownPolicies } from './known-policies.ts'
import { executionOf, noting } from './noting-worker.ts'
import { slotOf } from '../fixtures/audit-log.ts'

/** How much a scenario does. */
export type Amounts = { readonly kills: number; readonly workers: number; readonly seconds: number }

export type CallOptions = {
  readonly key?: string
  readonly timeoutMs?: number
  readonly capability?: readonly [verb: string, name: string]
  readonly caller?: string
  readonly payload?: Readonly<Record<string, unknown>>
  readonly priority?: 'low' | 'normal' | 'high'
  /** Default: the controller that was started last. */
  readonly origin?: string
}

export type StartOptions = {
  readonly env?: NodeJS.ProcessEnv
  readonly prefix?: string[]
  /** Default: that of the repository. */
  readonly policyDir?: string
  /** Below the lab's folder; the same name again is a restart. */
  readonly state?: string
}

export type WorkerOptions = {
  readonly execute?: Execute
  /** Distinguishes workers of one identity. */
  readonly instance?: string
  /** Registers the address of a proxy in place of the worker's own. */
  readonly proxied?: boolean
  readonly retrySafe?: boolean
}

export type LabWorker = {
  readonly fake: FakeWorker
  readonly proxy: FaultProxy | undefined
  readonly register: () => Promise<Answer>
  readonly close: () => Promise<void>
}

type WorkerLine = { readonly worker_id: string; readonly state: string }

export type Lab = Awaited<ReturnType<typeof openLab>>

export async function openLab(seed: number, amounts: Amounts) {
  const opened = new AsyncDisposableStack()
  const parties = await createParties()
  opened.defer(() => parties.close())
  const random = seeded(seed)
  const told: Told[] = []
  const executions: Execution[] = []
  const killsMs: number[] = []
  const auditOutages: { fromMs: number; toMs: number }[] = []
  const retrySafe = new Set<string>()
  const auditLogs = new Set<string>()
  const workerLogs: string[] = []
  const running = new Set<ControllerProcess>()
  const policies = createKnownPolicies()
  const noise = monitorEventLoopDelay({ resolution: 5 })
  noise.enable()
  opened.defer(() => void noise.disable())
  let controller: ControllerProcess | undefined

  const current = (): ControllerProcess => {
    if (controller === undefined) throw new Error('the scenario has started no controller')
    return controller
  }
  const auditSizes = (): Record<string, number> => sizesOf([...auditLogs])

  async function start({ env = {}, prefix, policyDir = POLICY_DIR, state = 'state' }: StartOptions = {}) {
    await policies.know(policyDir)
    const places = { CRANK_STATE_DIR: join(parties.dir, state), CRANK_POLICY_DIR: policyDir }
    const whole = { ...(await parties.tlsEnv('controller')), CRANK_HEARTBEAT_INTERVAL_MS: '60000', ...places, ...env }
    auditLogs.add(slotOf(places.CRANK_STATE_DIR, 0))
    const started = await startControllerProcess(whole, prefix === undefined ? {} : { prefix })
    started.child.once('exit', () => running.delete(started))
    running.add(started)
    controller = started
    return started
  }

  async function kill(which = current()): Promise<void> {
    killsMs.push(Date.now())
    await which.stop('SIGKILL')
  }

  async function worker({
    execute = greets,
    instance,
    proxied = false,
    retrySafe: isSafe = false,
  }: WorkerOptions = {}) {
    const workerId = instance === undefined ? 'worker-hello-world' : `worker-hello-world.${instance}`
    const note = (arrived: Parameters<typeof executionOf>[0]): Execution => {
      const execution = executionOf(arrived, workerId, auditSizes())
      executions.push(execution)
      return execution
    }
    const request: Parties['request'] extends (o: string, ...rest: infer R) => infer P ? (...rest: R) => P : never = (
      ...rest
    ) => parties.request(current().origin, ...rest)
    const fake = await startFakeWorker({ ...parties, request }, noting(note, execute), { streaming: true, workerId })
    const proxy = proxied ? await startFaultProxy({ port: fake.port }, { seed, random }) : undefined
    if (isSafe) retrySafe.add('invoke:hello_world')
    const capabilities = [isSafe ? { ...HELLO_SCHEMA, retry_safe: true } : HELLO_SCHEMA]
    const url = proxy === undefined ? fake.url : `https://127.0.0.1:${proxy.port}`
    const register = (): Promise<Answer> => fake.register({ workerId, url, capabilities })
    let isOpen = true
    const close = async (): Promise<void> => {
      if (!isOpen) return
      isOpen = false
      await proxy?.close()
      await fake.close()
    }
    opened.defer(close)
    const answer = await register()
    if (answer.status !== 200) throw new Error(`${workerId} was not registered: ${answer.status} ${answer.text}`)
    return { fake, proxy, register, close } satisfies LabWorker
  }

  let calls = 0
  async function call(options: CallOptions = {}): Promise<Told & { readonly answer: Answer | undefined }> {
    const { caller = STREAMING, capability: [verb, name] = ['invoke', 'hello_world'], key, origin } = options
    const id = `call-${calls++}`
    const body = {
      verb,
      capability: name,
      // The same key is the same request.
      payload: { id: key ?? id, ...options.payload },
      ...(key !== undefined && { idempotency_key: key }),
      ...(options.timeoutMs !== undefined && { timeout_ms: options.timeoutMs }),
      ...(options.priority !== undefined && { priority: options.priority }),
    }
    const startMs = Date.now()
    const answer = await parties
      .request(origin ?? current().origin, caller, postJson('/route', body))
      .catch(() => undefined)
    const { status = null, headers = {} } = answer ?? {}
    const header = (which: string): string | null => (headers[which] as string | undefined) ?? null
    const seen: Told = {
      id,
      caller: `spiffe://crank.local/${caller}`,
      capability: `${verb}:${name}`,
      key: key ?? null,
      startMs,
      endMs: Date.now(),
      status,
      error: (answer?.body as { error?: string } | undefined)?.error ?? null,
      decisionId: header('x-decision-id'),
      workerId: header('x-worker-id'),
      isReplay: header('idempotent-replayed') === 'true',
    }
    told.push(seen)
    return { ...seen, answer }
  }

  /** Calls of `callers` one after another each, until `work` is done. */
  async function underLoad(callers: number, work: () => Promise<unknown>, next = (_n: number) => call()) {
    const seen: Awaited<ReturnType<typeof call>>[] = []
    let isOver = false
    const lanes = Array.from({ length: callers }, async () => {
      while (!isOver) seen.push(await next(seen.length))
    })
    try {
      await work()
    } finally {
      isOver = true
      await Promise.all(lanes)
    }
    return seen
  }

  /** Ends every controller and compares what was seen. */
  async function check(): Promise<Violation[]> {
    await Promise.all([...running].map((one) => one.stop('SIGTERM')))
    const logs = [...auditLogs]
    const history: History = {
      told,
      executions: [...executions, ...(await Promise.all(workerLogs.map(readWorkerLog))).flat()],
      records: (await Promise.all(logs.map(readRecords))).flat(),
      chains: await verifyChains(logs),
      killsMs,
      auditOutages,
      retrySafe,
    }
    return checkHistory(history, policies.oracle)
  }

  return {
    seed,
    random,
    amounts,
    parties,
    told,
    executions,
    policies,
    start,
    kill,
    worker,
    call,
    underLoad,
    check,
    /** Closes it at the end of the scenario, in the reverse order of opening. */
    defer: (close: () => Promise<unknown> | undefined) =>
      opened.defer(async () => {
        await close()
      }),
    controller: current,
    /** What the admin listener says about its workers. */
    workers: async (): Promise<readonly WorkerLine[]> =>
      ((await (await fetch(`${current().adminOrigin}/workers`)).json()) as { workers: WorkerLine[] }).workers,
    /** The sum of a metric over its labels; `labels`: a part of their text. */
    metric: async (name: string, labels = ''): Promise<number> => {
      const text = await (await fetch(`${current().adminOrigin}/metrics`)).text()
      const lines = text.split('\n').filter((line) => new RegExp(`^${name}[{ ]`).test(line) && line.includes(labels))
      return lines.reduce(
        (sum, line) => sum + Number(/(?:\} | )([\d.e+-]+)/.exec(line.slice(name.length))?.[1] ?? 0),
        0,
      )
    },
    ready: async (): Promise<boolean> => (await fetch(`${current().adminOrigin}/readyz`)).status === 200,
    recordsOf: async (state: string) => ({
      records: (await readRecords(slotOf(join(parties.dir, state), 0))).map(({ line }) => line),
    }),
    auditLog: (state = 'state') => slotOf(join(parties.dir, state), 0),
    /** A worker process appends its executions to it. */
    workerLog(name: string): string {
      const file = join(parties.dir, `${name}.executions`)
      workerLogs.push(file)
      return file
    },
    auditOutage(fromMs: number, toMs: number) {
      auditOutages.push({ fromMs, toMs })
    },
    proxyTo: async (port: number): Promise<FaultProxy> => {
      const proxy = await startFaultProxy({ port }, { seed, random })
      opened.defer(() => proxy.close())
      return proxy
    },
    /** How late timers of this process were (p99): a measured time may be so much longer because the machine is busy. */
    noiseMs: (): number => Math.round(noise.percentile(99) / 1e6),
    async close() {
      for (const one of running) await one.stop('SIGKILL')
      await opened.disposeAsync()
    },
  }
}
