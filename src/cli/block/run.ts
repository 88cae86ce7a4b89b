// `crank block` and `crank unblock`: the file of the policy folder, the bucket of the mesh, or both. What is in force is the union.
import { join } from 'node:path'
import { isoTime } from '../../core/iso-time.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { MAX_REASON_CHARS, type BlockTarget } from '../../policy/data/block-entry.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, type Format } from '../output.ts'
import { editBlocked, type FileEntry } from './blocked-file.ts'
import { hintsFor, lookalike } from './hints.ts'
import { withMeshBucket } from './mesh-bucket.ts'
import { blockPlaces, type BlockPlaces } from './places.ts'
import { parseBlockTarget } from './target.ts'

export type BlockOptions = { policy?: string | undefined; reason?: string | undefined; output: Format }

/** What is to be: `isBlocked` or not, who says so, when, and why. */
type Order = { readonly target: BlockTarget; readonly isBlocked: boolean; readonly entry: FileEntry }
/** `changed`: false if it was so already. */
type Done = { readonly place: 'mesh' | 'file'; readonly name: string; readonly changed: boolean }
type Failed = { readonly place: 'mesh' | 'file'; readonly failure: CliError }

/** Blocks a SPIFFE ID, a capability or a certificate. Repeating it changes nothing. */
export async function block(what: string | undefined, options: BlockOptions): Promise<ExitCode> {
  const order = await readOrder(what, options, true)
  for (const hint of await hintsFor(order.target, options)) say(`${mark('yellow', '‼')} ${hint}`)
  return carryOut(order, options)
}

/** `negative` when nothing blocks it. */
export function unblock(what: string | undefined, options: BlockOptions): Promise<ExitCode> {
  return readOrder(what, options, false).then((order) => carryOut(order, options))
}

type Asked = Omit<Order, 'entry'> & { readonly reason: string }

async function readOrder(what: string | undefined, { reason = '' }: BlockOptions, isBlocked: boolean): Promise<Asked> {
  if (what === undefined) {
    throw new CliError(EXIT.usage, "missing required argument 'what'", {
      hint: 'such as: spiffe://crank.local/worker/streaming, or crank block --list',
    })
  }
  const target = await parseBlockTarget(what)
  const text = reason.trim()
  if (text === '') throw new CliError(EXIT.usage, '--reason is missing: say why, for those who read it later')
  if (text.length > MAX_REASON_CHARS) {
    throw new CliError(EXIT.usage, `--reason has ${text.length} characters; at most ${MAX_REASON_CHARS} are allowed`)
  }
  return { target, isBlocked, reason: text }
}

async function carryOut({ target, isBlocked, reason }: Asked, options: BlockOptions): Promise<ExitCode> {
  const places = await blockPlaces(options)
  const entry = { reason, by: places.by, at: isoTime(Date.now()) }
  const order = { target, isBlocked, entry }
  // One after the other, and each whatever becomes of the other: the mesh first, since all controllers hear of it.
  const results = [...(await inMesh(places, order)), ...(await inFile(places, order))]
  const done = results.filter((one) => 'changed' in one)
  const failed = results.filter((one) => 'failure' in one)
  if (!isBlocked && failed.length === 0 && done.every(({ changed }) => !changed)) {
    throw new CliError(EXIT.negative, `${target.name} is not blocked`, { hint: await lookalike(target, places) })
  }
  report(order, done, failed)
  noteUnseen(places, order)
  if (options.output === 'json') {
    const written = done.map(({ place, name, changed }) => ({ place, name, changed }))
    const failures = failed.map(({ place, failure }) => ({ place, reason: failure.message }))
    writeJson({ ...target, blocked: isBlocked, ...entry, written, failed: failures })
  }
  return failed[0]?.failure.exit ?? EXIT.ok
}

async function inMesh({ mesh }: BlockPlaces, { target, isBlocked, entry }: Order): Promise<(Done | Failed)[]> {
  if (mesh === undefined) return []
  if (mesh instanceof CliError) return [{ place: 'mesh', failure: mesh }]
  return [
    await attempt('mesh', mesh.target.servers.join(', '), () =>
      withMeshBucket(mesh.target, mesh.credentials, async (bucket) => {
        const before = await bucket.find(target).catch((cause: unknown) => {
          // What nobody can read is written again; an identity without rights fails here.
          if (cause instanceof SyntaxError) return undefined
          throw cause
        })
        if ((before?.isBlocked ?? false) === isBlocked) return false
        await bucket.put({ ...target, isBlocked, ...entry, by: mesh.credentials.spiffeId satisfies SpiffeId })
        return true
      }),
    ),
  ]
}

async function inFile({ dir }: BlockPlaces, { target, isBlocked, entry }: Order): Promise<(Done | Failed)[]> {
  if (dir === undefined) return []
  const name = join(dir, 'data', 'blocked.json')
  return [await attempt('file', name, () => editBlocked(dir, target, isBlocked ? entry : undefined))]
}

async function attempt(place: Done['place'], name: string, work: () => Promise<boolean>): Promise<Done | Failed> {
  try {
    return { place, name, changed: await work() }
  } catch (cause: unknown) {
    if (cause instanceof CliError) return { place, failure: cause }
    throw cause
  }
}

const SCOPE = {
  mesh: 'every controller of the mesh, within a second',
  file: 'each controller that reads this folder, within a second; commit the file',
} as const
const PLACE = { mesh: 'the mesh', file: 'the file' } as const

function report({ target, isBlocked }: Order, done: readonly Done[], failed: readonly Failed[]): void {
  const verb = isBlocked ? 'blocked' : 'unblocked'
  for (const { place, name, changed } of done) {
    const what = changed ? `${verb} on ${SCOPE[place]}` : `${PLACE[place]} had it ${verb} already`
    say(`${mark('green', '√')} ${target.name}: ${what} (${name})`)
  }
  for (const { place, failure } of failed) {
    say(`${mark('red', '×')} ${PLACE[place]} is unchanged: ${failure.message}`)
    for (const line of [...failure.details, failure.hint ?? '']) if (line !== '') say(`  ${line}`)
    const left = isBlocked
      ? 'only the other list blocks it'
      : 'if this list blocks it, it stays blocked: in force is what either list blocks'
    say(
      `  ${done.length > 0 || !isBlocked ? left : 'nothing blocks it yet'}; repeat the command when this is corrected`,
    )
  }
}

/** A lifted block may still be in a list that this command has not seen. */
function noteUnseen({ dir, mesh }: BlockPlaces, { isBlocked }: Order): void {
  if (isBlocked) return
  if (mesh === undefined) say('CRANK_NATS_URL is not set: a block of the mesh, if there is one, stays in force')
  if (dir === undefined) say('no policy folder is here: a block in data/blocked.json of a controller stays in force')
}

function mark(colour: 'green' | 'red' | 'yellow', sign: string): string {
  return paint(colour, sign, process.stderr)
}
