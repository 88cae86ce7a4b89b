// The thread that reads changed policy files: checks them, compares them with those in force, and builds the memory of the
// engine. With 47 MB of data that takes two seconds, in which the controller's own thread serves calls.
import { serveThread } from '../../platform/thread/serve.ts'
import { PolicyFilesError } from '../../policy/data/policy-files.ts'
import { loadWasm } from '../../policy/engine/compile.ts'
import type { BuiltEngine } from '../../policy/engine/engine-kind.ts'
import { buildImage } from '../../policy/engine/opa-image.ts'
import type { LoadedFiles, LoadFailure, LoadTask } from './loader-words.ts'
import { packNames } from './packed-names.ts'
import { deltaOf } from './policy-delta.ts'
import { loadPolicyFolder, type PolicyFolder } from './policy-folder.ts'
import { sharedUtf8 } from './shared-text.ts'

serveThread<undefined, LoadTask, LoadedFiles | LoadFailure>(() => ({
  answer: (task) => load(task).catch(failureOf),
  transfer: (reply) => (reply.kind === 'loaded' ? buffersOf(reply) : []),
}))

async function load(task: LoadTask): Promise<LoadedFiles> {
  const folder = await loadPolicyFolder(task.dir, task.nowMs)
  const { dataText, knownCapabilities, knownIdentities, ...files } = folder.files
  const data = sharedUtf8(dataText)
  const packed = { data, knownCapabilities: packNames(knownCapabilities), knownIdentities: packNames(knownIdentities) }
  const changed = changesTo(folder, task)
  const built = task.engine ? await build(folder, data, task.env) : undefined
  return { kind: 'loaded', signature: folder.signature, hashes: folder.hashes, files, packed, changed, built }
}

function changesTo(next: PolicyFolder, { previous: { data, hashes } }: LoadTask) {
  const dataText = new TextDecoder().decode(new Uint8Array(data))
  return deltaOf({ hashes, files: { dataText } }, next)
}

async function build({ files }: PolicyFolder, data: Uint8Array, env: NodeJS.ProcessEnv): Promise<BuiltEngine> {
  let compiled: string | undefined
  const wasm = new Uint8Array(await loadWasm(files, { env, onCompile: (reason) => (compiled = reason) }))
  return { wasm, image: await buildImage(wasm, data), ...(compiled !== undefined && { compiled }) }
}

function failureOf(cause: unknown): LoadFailure {
  const { name, message } = cause instanceof Error ? cause : new Error(String(cause))
  return { kind: 'failed', name, message, faults: cause instanceof PolicyFilesError ? cause.faults : [] }
}

function buffersOf({ packed, built }: LoadedFiles): ArrayBuffer[] {
  const pieces = [
    packed.knownCapabilities,
    packed.knownIdentities,
    ...(built === undefined ? [] : [built.wasm, built.image.bytes]),
  ]
  return pieces.map(({ buffer }) => buffer as ArrayBuffer)
}
