// What the tests of the audit log share: a temporary folder, events, and child processes whose lines can be waited for.
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { identityRefused, routeOutcome, type AuditEvent, type RouteOutcomeEvent } from '../../../src/audit/event.ts'
import { openAuditLog, type AuditLogOptions } from '../../../src/controller/audit/writer.ts'
import type { AuditLog } from '../../../src/controller/audit/group-commit.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { segmentFiles } from '../../fixtures/audit-log.ts'
import { until as waitUntil } from '../../fixtures/until.ts'

export const SILENT = pino({ level: 'silent' })

/** The folder of a slot, which is not there yet, in a new folder that goes when the test does. */
export function temporaryLog(): string {
  return join(temporaryFolder(), 'state', 'audit', '0')
}

/** A path in a folder that is not there yet. */
export function temporaryFile(): string {
  return join(temporaryFolder(), 'state', 'audit.jsonl')
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'crank-audit-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** An audit log that is closed when the test ends. However slow the disk, it gives up no record. */
export async function openLog(folder: string, opts: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  const audit = await openAuditLog({ folder, sync: 'write', now: Date.now, log: SILENT, maxWaitMs: 60_000, ...opts })
  onTestFinished(() => audit.close())
  return audit
}

/** The folder of a closed log with these events. */
export async function written(...events: AuditEvent[]): Promise<string> {
  const folder = temporaryLog()
  const audit = await openLog(folder)
  for (const event of events) await audit.append(event)
  await audit.close()
  return folder
}

/** The newest segment of a log. */
export function newest(folder: string): string {
  return segmentFiles(folder).at(-1)!
}

export function isSealed(file: string): boolean {
  return (statSync(file).mode & 0o777) === 0o400
}

/** Makes a segment writable again, as only the root user could. */
export function unseal(file: string): string {
  chmodSync(file, 0o600)
  return file
}

/** An event that carries `mark` as its decision id. */
export function outcome(mark: string, requester = 'spiffe://crank.local/worker/streaming'): RouteOutcomeEvent {
  return routeOutcome(
    {
      decisionId: mark,
      trace: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true },
      requester: parseSpiffeId(requester),
      capability: 'stream:text_events',
    },
    { atMs: 0, workerId: 'w', status: 200, outcome: 'completed', error: null, durationMs: 1.23456, attempts: 1 },
  )
}

export function refusal(mark: string): ReturnType<typeof identityRefused> {
  return identityRefused({
    atMs: 0,
    decisionId: mark,
    traceId: 'a'.repeat(32),
    error: 'client_certificate_required',
    remoteAddress: '192.0.2.7',
  })
}

/** The records of a log, or of one segment, as they stand, unchecked. */
export function recordsOf(log: string): Record<string, unknown>[] {
  const lines = segmentFiles(log).flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1))
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Fails after ten seconds: the condition is expected long before. */
export function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  return waitUntil(condition.toString(), condition)
}

export type Child = { process: ChildProcess; pid: number; lines: string[]; exited: Promise<void> }

/** Starts `command` and collects the lines of its standard output; killed when the test ends. */
export function startChild(command: string, args: readonly string[]): Child {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
  })
  return { process: child, pid: child.pid!, lines, exited }
}

/** The script of the child processes, and what kills one at a call of the file system. */
export const APPENDER = join(import.meta.dirname, 'appender.ts')
export const dieAt = (phase: string): string => `${pathToFileURL(join(import.meta.dirname, 'die-at.ts')).href}?${phase}`
