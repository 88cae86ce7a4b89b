// Which files in the folder of a slot are segments of its log. Whatever else is there under such a name is left alone.
import { lstatSync } from 'node:fs'
import { firstRecordOf } from '../../audit/outlook.ts'
import { segmentsIn, type AuditSegment } from '../../audit/places.ts'

type OwnSegments = {
  readonly segments: readonly AuditSegment[]
  /** A sentence for each of the others. */
  readonly faults: readonly string[]
}

/** `known`: numbers of those that were seen to be ours, which stay so. Throws the file system's error when there is no folder. */
export async function ownSegments(folder: string, known: Set<number>): Promise<OwnSegments> {
  const [segments, faults]: [AuditSegment[], string[]] = [[], []]
  for (const segment of segmentsIn(folder)) {
    const { firstSeq, file } = segment
    const kind = known.has(firstSeq) ? 'own' : await kindOf(segment)
    if (kind === 'own') {
      known.add(firstSeq)
      segments.push(segment)
    } else if (kind !== 'empty') faults.push(`${file} is left alone, ${kind}: move it away`)
  }
  return { segments, faults }
}

/** `empty`: gone, or without a record, as the newest one for a moment. */
async function kindOf({ firstSeq, file }: AuditSegment): Promise<string> {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (stat === undefined || (stat.isFile() && stat.size === 0)) return 'empty'
  if (!stat.isFile()) return 'since it is a link'
  try {
    const record = await firstRecordOf(file)
    return record?.seq === firstSeq ? 'own' : `since it does not begin with record ${firstSeq}`
  } catch (cause: unknown) {
    const { code, message } = cause as NodeJS.ErrnoException
    return code === 'ENOENT' ? 'empty' : `since it cannot be read (${code ?? message})`
  }
}
