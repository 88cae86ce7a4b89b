// The folders of the demo, locked before anything in them is opened: one demo at a time in a state folder.
import { mkdtemp, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { AuditFileError } from '../../src/controller/audit/audit-file-error.ts'
import { lockAuditFile } from '../../src/controller/audit/lock.ts'
import { DemoError, say } from './errors.ts'
import type { Options } from './options.ts'

export const LOGS = 'logs'

export type Folders = {
  readonly stateDir: string
  /** A short path: that of a unix socket is limited to 107 bytes. */
  readonly socketDir: string
  /** Removes temporary files; after a failure the logs in a temporary folder are kept, and their path is printed. */
  release(how: { failed: boolean }): Promise<void>
}

/**
 * CRANK_STATE_DIR, else `.crank` in `root`; with `--port 0` a new folder below it. @throws {DemoError} when another
 * demo uses it
 */
export async function takeFolders({ port, opa }: Options, root: string): Promise<Folders> {
  const { CRANK_STATE_DIR: given = '' } = process.env
  const base = given === '' ? join(root, '.crank') : resolve(given)
  await mkdir(base, { recursive: true, mode: 0o700 })
  const isOwn = port === 0
  const unlock = isOwn ? () => undefined : lock(base)
  const stateDir = isOwn ? await mkdtemp(join(base, 'demo-')) : base
  const socketDir = opa ? await mkdtemp(join(tmpdir(), 'crank-')) : stateDir
  return {
    stateDir: shown(stateDir),
    socketDir,
    async release({ failed }) {
      if (opa) await rm(socketDir, { recursive: true, force: true })
      if (isOwn) await removeOwn(stateDir, failed)
      unlock()
    },
  }
}

async function removeOwn(stateDir: string, failed: boolean): Promise<void> {
  const logs = await readdir(join(stateDir, LOGS)).catch((): string[] => [])
  const kept = failed && logs.length > 0 ? [LOGS] : []
  for (const name of await readdir(stateDir)) {
    if (!kept.includes(name)) await rm(join(stateDir, name), { recursive: true, force: true })
  }
  if (kept.length === 0) await rm(stateDir, { recursive: true, force: true })
  else say(`The logs are kept in ${join(shown(stateDir), LOGS)}: remove the folder when you have seen them.`)
}

// The same lock as the audit log's, on another file: the kernel releases it however this process ends.
function lock(stateDir: string): () => void {
  try {
    return lockAuditFile(join(stateDir, 'demo')).free
  } catch (cause: unknown) {
    if (!(cause instanceof AuditFileError)) throw cause
    const way = 'stop it, or run this one beside it with: npm run demo -- --port 0'
    throw new DemoError(`Another demo runs here, with the state folder ${shown(stateDir)}: ${way}`, { cause })
  }
}

function shown(folder: string): string {
  return relative(process.cwd(), folder) || '.'
}
