// `crank block --list`: what is blocked, by which list, who said so, and why.
import type { BlockSection } from '../../policy/data/block-entry.ts'
import { entriesOf, isRecord } from '../../policy/data/json-object.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeLine, writeTable } from '../output.ts'
import { readBlocked } from './blocked-file.ts'
import { withMeshBucket } from './mesh-bucket.ts'
import { blockPlaces, type BlockPlaces } from './places.ts'
import type { BlockOptions } from './run.ts'

type Row = {
  readonly section: string
  readonly name: string
  readonly source: 'file' | 'mesh'
  readonly by: string | null
  readonly at: string | null
  readonly reason: string | null
}

const KIND: Readonly<Record<BlockSection, string>> = {
  identities: 'identity',
  capabilities: 'capability',
  certificates: 'certificate',
}

/** Prints what it can read; the exit code is that of the first list that cannot be read. */
export async function listBlocks(options: BlockOptions): Promise<ExitCode> {
  const places = await blockPlaces(options)
  const failures: CliError[] = []
  const read = (rows: Promise<Row[]>): Promise<Row[]> =>
    rows.catch((cause: unknown) => {
      if (!(cause instanceof CliError)) throw cause
      failures.push(cause)
      return []
    })
  const rows = [...(await read(fromMesh(places))), ...(await read(fromFile(places)))]
  rows.sort((a, b) => (a.section + a.name < b.section + b.name ? -1 : 1))
  if (options.output === 'json') {
    writeJson({ blocks: rows, failed: failures.map(({ message }) => message) })
  } else if (rows.length > 0) print(rows)
  else if (failures.length === 0) writeLine('nothing is blocked')
  for (const { message, hint } of failures) {
    say(`${paint('red', '×', process.stderr)} not listed: ${message}`)
    if (hint !== undefined) say(`  ${hint}`)
  }
  return failures[0]?.exit ?? EXIT.ok
}

async function fromMesh({ mesh }: BlockPlaces): Promise<Row[]> {
  if (mesh === undefined) return []
  if (mesh instanceof CliError) throw mesh
  const entries = await withMeshBucket(mesh.target, mesh.credentials, ({ all }) => all())
  return entries
    .filter(({ isBlocked }) => isBlocked)
    .map(({ section, name, by, at, reason }) => ({ section, name, source: 'mesh', by, at, reason }))
}

async function fromFile({ dir }: BlockPlaces): Promise<Row[]> {
  if (dir === undefined) return []
  const { sections } = await readBlocked(dir)
  return Object.entries(sections).flatMap(([section, names]) =>
    entriesOf(names).map(([name, value]): Row => {
      const { by, at, reason } = isRecord(value) ? value : { by: null, at: null, reason: value }
      return { section, name, source: 'file', by: text(by), at: text(at), reason: text(reason) }
    }),
  )
}

function print(rows: readonly Row[]): void {
  writeTable<Row>(
    [
      { title: 'KIND', cell: ({ section }) => KIND[section as BlockSection] },
      { title: 'BLOCKED', cell: ({ name }) => name },
      { title: 'LIST', cell: ({ source }) => source },
      { title: 'SINCE', cell: ({ at }) => at ?? '-' },
      { title: 'BY', cell: ({ by }) => by ?? '-' },
      { title: 'REASON', cell: ({ reason }) => reason ?? '-' },
    ],
    rows,
  )
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
