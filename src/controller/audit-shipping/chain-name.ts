// The name of a slot's chain in the stream of the mesh: made once, kept in the slot's folder. A host name or a slot would not do:
// an emptied state folder begins a new chain on the same machine.
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../platform/replace-file.ts'

/** `stream`: when the stream was made to which the place on the disk belongs; null: to none yet. */
export type ChainName = { readonly chain: string; readonly stream: string | null }

const FILE = 'chain'
const MODE = 0o600
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The name in the folder of a slot; undefined: there is none, or the file is damaged. */
export async function readChainName(folder: string): Promise<ChainName | undefined> {
  const text = await readFile(join(folder, FILE), 'utf8').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw cause
  })
  return parseName(text)
}

export async function writeChainName(folder: string, { chain, stream }: ChainName): Promise<void> {
  await replaceFile(join(folder, FILE), `${JSON.stringify({ chain, stream })}\n`, MODE)
}

export function newChainName(): ChainName {
  return { chain: randomUUID(), stream: null }
}

function parseName(text: string): ChainName | undefined {
  try {
    const { chain, stream } = JSON.parse(text) as Partial<Record<keyof ChainName, unknown>>
    if (typeof chain !== 'string' || !UUID.test(chain)) return undefined
    return { chain, stream: typeof stream === 'string' ? stream : null }
  } catch {
    return undefined
  }
}
