// Our own mails as lines `subject | body`: current good mails, which the corpus of 2002 lacks, and current spam. Two
// thirds train the spam model; the others, chosen by a seed, only influence its threshold.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MailText } from '../../src/workers/email_classifier/mail.ts'

export type OwnMail = { readonly spam: boolean; readonly mail: MailText }
export type OwnMails = { readonly training: readonly OwnMail[]; readonly calibration: readonly OwnMail[] }

/** As in the model file. */
export const OWN_MAILS = 'scripts/email-models/good-lines and spam-lines.txt, written for this project'
const CALIBRATION_SHARE = 1 / 3

export async function loadOwnMails(seed: string): Promise<OwnMails> {
  const folder = join(import.meta.dirname, 'good-lines')
  const files = (await readdir(folder)).sort().map((name) => ({ path: join(folder, name), spam: false }))
  files.push({ path: join(import.meta.dirname, 'spam-lines.txt'), spam: true })
  const mails = await Promise.all(files.map(({ path, spam }) => readLines(path, spam)))
  const training: OwnMail[] = []
  const calibration: OwnMail[] = []
  for (const one of mails.flat()) (isDrawn(seed, one) ? calibration : training).push(one)
  return { training, calibration }
}

async function readLines(path: string, spam: boolean): Promise<OwnMail[]> {
  const lines = (await readFile(path, 'utf8')).trim().split('\n')
  return lines.map((line) => {
    const [subject, body] = line.split(' | ')
    if (subject === undefined || body === undefined) throw new Error(`${path}: not "subject | body": ${line}`)
    return { spam, mail: { subject, body } }
  })
}

function isDrawn(seed: string, { mail }: OwnMail): boolean {
  const [byte = 0] = createHash('sha256').update(`${seed}\n${mail.subject}`).digest()
  return byte < 256 * CALIBRATION_SHARE
}
