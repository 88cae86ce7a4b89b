// Reads changed policy files, large ones in a thread, so that no call waits for it. The thread exists only while it works;
// whatever happens to it, the files in force stay so, and the fault is one of the files on disk.
import { childEnvironment } from '../../platform/env.ts'
import { threadEntry, startThread, type Thread } from '../../platform/thread/thread.ts'
import { PolicyFilesError, type PolicyFiles } from '../../policy/data/policy-files.ts'
import type { LoadedFiles, LoadFailure, LoadTask } from './loader-words.ts'
import { unpackNames } from './packed-names.ts'
import { dataBytes, FolderChangedError, loadPolicyFolder, signatureOf, type PolicyFolder } from './policy-folder.ts'
import { sharedUtf8 } from './shared-text.ts'

type LoaderOptions = {
  readonly dir: string
  /** Build the embedded engine too. */
  readonly engine: boolean
  /** To find OPA. */
  readonly env: NodeJS.ProcessEnv
  readonly now: () => number
  /** The files in force. */
  readonly current: () => PolicyFolder
  /** Runs work that may take long: a block list does not wait for it. */
  readonly during: <T>(work: () => Promise<T>) => Promise<T>
  readonly limits?: Partial<LoaderLimits>
  readonly entry?: URL
}

/** `threadFromBytes`: smaller data is read in this thread. `loadMs`: after this time the thread counts as hanging. */
export type LoaderLimits = { readonly threadFromBytes: number; readonly loadMs: number }

export type PolicyLoader = {
  /** @throws {PolicyFilesError | FolderChangedError | ThreadFailure | Error} when the folder cannot be used */
  readonly load: () => Promise<PolicyFolder>
  readonly close: () => Promise<void>
}

// Data of this size takes some 10 ms, less than the start of a thread. OPA alone may take a minute to compile.
const LIMITS: LoaderLimits = { threadFromBytes: 128 * 1024, loadMs: 120_000 }
const ENTRY = threadEntry('loader-main', import.meta.url)
// The variables with which compile.ts finds OPA.
const isForOpa = (name: string): boolean => name === 'OPA_BIN' || name === 'CRANK_CACHE_DIR'

export function createPolicyLoader(options: LoaderOptions): PolicyLoader {
  const { dir, engine, env, now, current, during, entry = ENTRY } = options
  let running: Thread<LoadTask, LoadedFiles | LoadFailure> | undefined
  const limits = { ...LIMITS, ...options.limits }
  let isClosed = false
  return {
    async load() {
      const isSmall = (await dataBytes(dir)) < limits.threadFromBytes
      if (isClosed) throw new Error('the policy is closed')
      if (isSmall) return await loadPolicyFolder(dir, now())
      const thread = startThread<LoadTask, LoadedFiles | LoadFailure>({
        entry,
        name: 'policy-loader',
        env: childEnvironment(env),
      })
      running = thread
      try {
        const task = {
          dir,
          engine,
          nowMs: now(),
          env: childEnvironment(env, isForOpa),
          previous: comparable(current()),
        }
        const reply = await during(() => thread.ask(task, { limits: { wallMs: limits.loadMs } }))
        return await folderOf(reply, dir)
      } finally {
        running = undefined
        await thread.end()
      }
    },
    async close() {
      isClosed = true
      await running?.end()
    },
  }
}

function comparable({ files, hashes, data }: PolicyFolder): LoadTask['previous'] {
  return { data: data ?? sharedUtf8(files.dataText), hashes }
}

async function folderOf(reply: LoadedFiles | LoadFailure, dir: string): Promise<PolicyFolder> {
  if (reply.kind === 'failed') throw errorOf(reply)
  const { signature, hashes, packed, changed, built } = reply
  const knownCapabilities = (await unpackNames(packed.knownCapabilities)) as PolicyFiles['knownCapabilities']
  const knownIdentities = await unpackNames(packed.knownIdentities)
  const files = withText({ ...reply.files, knownCapabilities, knownIdentities }, packed.data)
  // A block list that has changed since may be in force already.
  if ((await signatureOf(dir)) !== signature) throw new FolderChangedError(`${dir} was written to while it was read`)
  return { signature, hashes, files, data: packed.data, changed, built }
}

/** Few parts of the controller need the whole text, and decoding it takes time. */
function withText(files: Omit<PolicyFiles, 'dataText'>, data: Uint8Array): PolicyFiles {
  let text: string | undefined
  return Object.defineProperty(files, 'dataText', {
    get: () => (text ??= Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()),
    enumerable: true,
    configurable: true,
  }) as PolicyFiles
}

function errorOf({ name, message, faults }: LoadFailure): Error {
  switch (name) {
    case 'PolicyFilesError':
      return new PolicyFilesError(message, { faults })
    case 'FolderChangedError':
      return new FolderChangedError(message)
    default:
      return Object.assign(new Error(message), { name })
  }
}
