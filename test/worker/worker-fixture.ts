// A worker at work beside a fake controller: real certificates, real sockets, everything closed at the end.
import { rm } from 'node:fs/promises'
import { createLogger } from '../../src/platform/logger.ts'
import { watchCredentials, type CredentialFiles } from '../../src/platform/tls/credentials.ts'
import { createTracing } from '../../src/platform/tracing/tracing.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import type { WorkerDefinition } from '../../src/worker/define.ts'
import { runWorker, type RunningWorker, type RunOptions } from '../../src/worker/run.ts'
import { startFakeController, type FakeController } from '../../src/worker/testing/fake-controller.ts'
import { createTestCa, type TestCa } from '../fixtures/pki/ca.ts'
import { issueTo, tempDir } from '../fixtures/pki/credential-files.ts'

export const CONTROLLER_ID = 'spiffe://crank.local/controller'

export type Site = {
  ca: TestCa
  controller: FakeController
  /** Certificate files of `spiffe://crank.local/<path>`. */
  filesOf: (path: string) => Promise<CredentialFiles>
  /** Starts a worker under `spiffe://crank.local/worker/<name>`. */
  run: (definition: WorkerDefinition, options?: Partial<RunOptions>) => Promise<Started>
  close: () => Promise<void>
}
export type Started = RunningWorker & { logged: () => Record<string, unknown>[] }

export async function openSite(heartbeatMs?: number): Promise<Site> {
  const dir = await tempDir()
  const ca = await createTestCa('crank.local')
  const filesOf = (path: string) => issueTo(dir.path, ca, path.replaceAll('/', '-'), `spiffe://crank.local/${path}`)
  const controller = await startFakeController(await filesOf('controller'), heartbeatMs)
  const closers: (() => Promise<void> | void)[] = []

  async function run(definition: WorkerDefinition, options: Partial<RunOptions> = {}): Promise<Started> {
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const log = createLogger({ level: 'debug', service: 'test', destination })
    const files = await filesOf(definition.id.replace('worker-', 'worker/'))
    const source = await watchCredentials(files, { now: Date.now, log })
    const tracing = await createTracing({ service: 'test', version: '1', env: {}, log })
    const config = {
      controllerUrls: [controller.url],
      controllerId: parseSpiffeId(CONTROLLER_ID),
      host: '127.0.0.1',
      port: 0,
      workerUrl: undefined,
      instance: undefined,
    }
    const times = { now: Date.now, random: Math.random, firstRetryMs: 5, deniedRetryMs: 5, drainMs: 2_000 }
    const worker = await runWorker(definition, { config, log, tracing, source, ...times, ...options })
    closers.push(() => worker.close(), source.close)
    return { ...worker, logged: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
  }

  async function close(): Promise<void> {
    for (const end of closers) await end()
    await controller.close()
    await rm(dir.path, { recursive: true, force: true })
  }
  return { ca, controller, filesOf, run, close }
}
